// Bytes read in order from a file, a gzip stream or a member of an archive, with one set of
// messages for what can be wrong: the base of every reader in this folder. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace batchwise {

class ByteSource {
 public:
  explicit ByteSource(std::string name) : name_(std::move(name)) {}
  virtual ~ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  /// The file, and the member of it, for messages.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// The number of bytes handed out so far.
  [[nodiscard]] std::int64_t offset() const { return offset_; }

  /// Reads until destination is full or the source ends; returns the number of bytes read.
  std::size_t read_up_to(std::span<std::byte> destination);

  /// Fills destination, or throws InputError: truncated while reading `what`.
  void read(std::span<std::byte> destination, std::string_view what);

  /// To be called before memory for `what` is taken: InputError if a source of known size does not
  /// hold exactly this many more bytes, or a compressed one cannot hold that many.
  void expect_remaining(std::int64_t bytes, std::string_view what) const;

  /// InputError if bytes follow; also makes archives compare their checksum.
  void expect_end();

 protected:
  struct Size {
    std::int64_t bytes;
    bool exact;  ///< otherwise an upper bound
  };

 private:
  [[nodiscard]] virtual Size size() const = 0;
  virtual std::size_t read_some(std::span<std::byte> destination) = 0;

  std::string name_;
  std::int64_t offset_ = 0;
};

/// A regular file. InputError if it is missing, a folder, not readable or empty.
class InputFile final : public ByteSource {
 public:
  explicit InputFile(const std::filesystem::path& path);
  [[nodiscard]] std::int64_t size_bytes() const { return size_bytes_; }

 private:
  [[nodiscard]] Size size() const override { return {size_bytes_, true}; }
  std::size_t read_some(std::span<std::byte> destination) override;

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
  std::int64_t size_bytes_ = 0;
};

/// Deflate cannot expand a byte to more than this many.
inline constexpr std::int64_t kMaximumExpansion = 1032;

/// The bytes of an array: the product of its extents, none negative, and the bytes of an element.
/// InputError naming the source if that exceeds 2^63 - 1.
[[nodiscard]] std::int64_t array_bytes(const std::string& name,
                                       std::span<const std::int64_t> extents,
                                       std::int64_t element_bytes);

}  // namespace batchwise
