#include "tests/apps/program.h"

#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "tests/engine/data/data_files.h"

namespace batchwise {
namespace {

/// A sanitizer must let the program handle memory that cannot be had, rather than end it.
void allow_failing_allocations() {
  const char* const set = std::getenv("ASAN_OPTIONS");
  const std::string options =
      std::string(set == nullptr ? "" : set) + ":allocator_may_return_null=1";
  setenv("ASAN_OPTIONS", options.c_str(), 1);
}

/// In the child: never returns.
[[noreturn]] void execute(const std::filesystem::path& folder,
                          const std::vector<std::string>& arguments) {
  setenv("OMP_NUM_THREADS", "1", 1);
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  allow_failing_allocations();
  std::vector<char*> pointers{const_cast<char*>(BATCHWISE_PROGRAM)};
  for (const std::string& argument : arguments) {
    pointers.push_back(const_cast<char*>(argument.c_str()));
  }
  pointers.push_back(nullptr);
  if (chdir(folder.c_str()) == 0) execv(BATCHWISE_PROGRAM, pointers.data());
  _exit(127);
}

void direct(int descriptor, const std::string& target) {
  if (target == "-") {
    close(descriptor);
    return;
  }
  const int opened = open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (opened < 0 || dup2(opened, descriptor) < 0) _exit(127);
  if (opened != descriptor) close(opened);
}

int exit_code_of(pid_t process) {
  int status = 0;
  if (waitpid(process, &status, 0) != process) throw std::runtime_error("waitpid failed");
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

RunningProgram::RunningProgram(const std::filesystem::path& folder,
                               const std::vector<std::string>& arguments, const Streams& streams) {
  const auto or_kept = [this](const std::string& target, const char* name) {
    return target.empty() ? (captured_ / name).string() : target;
  };
  const std::string output = or_kept(streams.output, "output");
  const std::string messages = or_kept(streams.messages, "messages");
  process_ = fork();
  if (process_ < 0) throw std::runtime_error("fork failed");
  if (process_ > 0) return;
  direct(STDOUT_FILENO, output);
  direct(STDERR_FILENO, messages);
  execute(folder, arguments);
}

void RunningProgram::send(int signal) const { kill(process_, signal); }

ProgramResult RunningProgram::wait() {
  const int exit_code = exit_code_of(process_);
  return {exit_code, read_whole(captured_ / "output"), read_whole(captured_ / "messages")};
}

std::string run_on_terminal(const std::filesystem::path& folder,
                            const std::vector<std::string>& arguments, unsigned short columns) {
  winsize size{};
  size.ws_row = 24;
  size.ws_col = columns;
  int terminal = -1;
  const pid_t process = forkpty(&terminal, nullptr, nullptr, &size);
  if (process < 0) throw std::runtime_error("forkpty failed");
  if (process == 0) execute(folder, arguments);
  std::string text;
  char buffer[4096];
  // Reading fails with EIO once the program has ended.
  for (ssize_t bytes = 0; (bytes = ::read(terminal, buffer, sizeof(buffer))) > 0;) {
    text.append(buffer, static_cast<std::size_t>(bytes));
  }
  close(terminal);
  EXPECT_EQ(exit_code_of(process), 0) << text;
  return text;
}

ProgramResult ProgramTest::run(const std::vector<std::string>& arguments,
                               const Streams& streams) const {
  return RunningProgram(folder(), arguments, streams).wait();
}

nlohmann::json ProgramTest::result_of(std::vector<std::string> arguments) const {
  arguments.emplace_back("--json");
  const ProgramResult result = run(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.messages;
  const nlohmann::json object = nlohmann::json::parse(result.output, nullptr, false);
  if (!object.is_object() || !object.contains("result")) {
    ADD_FAILURE() << "no result in: " << result.output;
    return nlohmann::json::object();
  }
  return object["result"];
}

void ProgramTest::succeed(const std::vector<std::string>& arguments) const {
  const ProgramResult result = run(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.messages;
}

void ProgramTest::write(std::string_view name, std::string_view text) const {
  write_file(path(name), text);
}

std::string ProgramTest::read(std::string_view name) const { return read_whole(path(name)); }

std::string small_experiment() {
  return R"(seed = 0

[data]
kind = "builtin"
name = "blobs"
samples = 200
test_samples = 60
features = 4
classes = 3
validation_split = 0.1

[model]
layers = [
  { type = "dense", units = 8, activation = "relu" },
  { type = "dense", units = 3 },
]

[optimizer]
name = "sgd"
learning_rate = 0.05

[training]
epochs = 2
batch_size = 16
)";
}

TensorData f32_tensor(const std::string& name, std::vector<std::int64_t> shape,
                      const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return {.name = name, .type = TensorType::f32, .shape = std::move(shape), .bytes = bytes};
}

std::vector<nlohmann::json> json_lines(std::string_view text) {
  std::vector<nlohmann::json> lines;
  std::istringstream stream{std::string(text)};
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(nlohmann::json::parse(line, nullptr, false));
    EXPECT_TRUE(lines.back().is_object()) << line;
  }
  return lines;
}

std::filesystem::path test_data(std::string_view name) {
  const char* const data = std::getenv("BATCHWISE_DATA");
  if (data == nullptr) return {};
  const std::filesystem::path folder = std::filesystem::path(data) / name;
  return std::filesystem::is_directory(folder) ? folder : std::filesystem::path{};
}

}  // namespace batchwise
