#include "engine/data/load.h"

#include <gtest/gtest.h>

#include "tests/engine/data/data_files.h"
#include "tests/support/temporary_folder.h"

namespace batchwise {
namespace {

class LoadTest : public ::testing::Test {
 protected:
  void write_idx(const std::string& split, std::uint32_t width) {
    write_file(folder / (split + "-images-idx3-ubyte"),
               idx_header({2, 1, width}) + counting_bytes(2 * width));
    write_file(folder / (split + "-labels-idx1-ubyte"), idx_header({2}) + "\x01\x02");
  }
  std::filesystem::path write_npz() {
    write_zip(folder / "d.npz", {{"x_train.npy", npy<float>("<f4", "(1, 2)", {1, 2})},
                                 {"y_train.npy", npy<std::int32_t>("<i4", "(1,)", {1})}});
    return folder / "d.npz";
  }
  std::filesystem::path write_csv(std::string_view name, std::string_view text) {
    write_file(folder / name, text);
    return folder / name;
  }

  DataConfig config;
  TemporaryFolder folder;
};

TEST_F(LoadTest, Idx) {
  write_idx("train", 3);
  write_idx("t10k", 3);
  config.kind = DataKind::idx;
  config.path = folder.path();
  const Dataset dataset = load_dataset(config, 0);
  EXPECT_EQ(dataset.train.count, 2);
  EXPECT_EQ(dataset.test.value().count, 2);
}

TEST_F(LoadTest, Npz) {
  config.kind = DataKind::npz;
  config.path = write_npz();
  EXPECT_EQ(load_dataset(config, 0).train.labels, std::vector<std::int32_t>{1});
}

TEST_F(LoadTest, CsvWithAndWithoutTest) {
  config.kind = DataKind::csv;
  config.train = write_csv("train.csv", "1,2,0\n3,4,1\n");
  EXPECT_FALSE(load_dataset(config, 0).test.has_value());
  config.test = write_csv("test.csv", "1,2,0\n");
  EXPECT_EQ(load_dataset(config, 0).test.value().count, 1);
  config.header = true;
  config.test.clear();
  EXPECT_EQ(load_dataset(config, 0).train.count, 1);
}

TEST_F(LoadTest, BuiltinTakesTheSeed) {
  config.name = "random";
  EXPECT_EQ(load_dataset(config, 1).train.features, load_dataset(config, 1).train.features);
  EXPECT_NE(load_dataset(config, 1).train.features, load_dataset(config, 2).train.features);
}

TEST_F(LoadTest, SplitsMustBeAlike) {
  write_idx("train", 3);
  write_idx("t10k", 4);
  config.kind = DataKind::idx;
  config.path = folder.path();
  expect_input_error([&] { (void)load_dataset(config, 0); },
                     {"train-images", "u8 [1, 1, 3]", "t10k-images", "u8 [1, 1, 4]"});
}

TEST_F(LoadTest, SamplesByNameWhateverTheExperimentsKind) {
  write_idx("t10k", 3);
  EXPECT_EQ(load_samples(config, folder.path(), 3).count, 2);
  EXPECT_FALSE(load_samples(config, folder / "t10k-images-idx3-ubyte", 3).labelled());
  EXPECT_TRUE(load_samples(config, write_npz(), 2).labelled());
  EXPECT_TRUE(load_samples(config, write_csv("d.csv", "1,2,0\n"), 2).labelled());
  EXPECT_FALSE(load_samples(config, write_csv("d.csv", "1,2\n"), 2).labelled());
}

TEST_F(LoadTest, SamplesOfAnotherNameAreOfTheExperimentsKind) {
  const auto path = write_csv("d.data", "1,2,0\n");
  config.kind = DataKind::csv;
  EXPECT_EQ(load_samples(config, path, 2).count, 1);
  config.kind = DataKind::builtin;
  expect_input_error([&] { (void)load_samples(config, path, 2); }, {"d.data", "cannot tell"});
}

TEST_F(LoadTest, SamplesOfAnotherSizeThanTheNetworks) {
  write_idx("t10k", 3);
  expect_input_error([&] { (void)load_samples(config, folder.path(), 784); },
                     {"t10k-images", "3 elements ([1, 1, 3])", "expected 784"});
  expect_input_error([&] { (void)load_samples(config, write_npz(), 784); }, {"2 elements"});
}

TEST_F(LoadTest, DataThatDoesNotFitInMemory) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "AddressSanitizer ends a program that asks for so much";
#endif
  // What is compressed may hold a thousandfold: 2^47 bytes, which no process can address.
  const auto path = folder / "train-images-idx3-ubyte.gz";
  write_file(path, gzip(idx_header({1u << 31, 1u << 8, 1u << 8}) + counting_bytes(1)));
  std::error_code error;
  std::filesystem::resize_file(path, std::uintmax_t{1} << 38, error);
  if (error) GTEST_SKIP() << "no sparse file of 256 GiB here: " << error.message();
  write_file(folder / "train-labels-idx1-ubyte", idx_header({1}) + "\x01");
  config.kind = DataKind::idx;
  config.path = folder.path();
  expect_input_error([&] { (void)load_dataset(config, 0); },
                     {folder.path().string(), "does not fit in memory"});
  expect_input_error([&] { (void)load_samples(config, path, 2); },
                     {"train-images-idx3-ubyte.gz", "does not fit in memory"});
}

TEST_F(LoadTest, MissingPath) {
  expect_input_error([&] { (void)load_samples(config, folder / "absent.csv", 2); },
                     {"absent.csv", "no such file"});
}

}  // namespace
}  // namespace batchwise
