#include "kernels/emulation/fault.h"

#include <dlfcn.h>
#include <link.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <sstream>

namespace batchwise::emulation {
namespace {

/// An address of the program as a file and the address in it.
struct InFile {
  std::string path;
  std::uintptr_t address = 0;
};

InFile in_file(std::uintptr_t code) {
  Dl_info info{};
  link_map* map = nullptr;
  if (dladdr1(reinterpret_cast<void*>(code), &info, reinterpret_cast<void**>(&map),
              RTLD_DL_LINKMAP) == 0) {
    return {};
  }
  const bool main_program = map->l_name == nullptr || map->l_name[0] == '\0';
  if (!main_program) return {map->l_name, code - map->l_addr};
  std::array<char, 4096> path{};
  const ssize_t length = readlink("/proc/self/exe", path.data(), path.size() - 1);
  return {std::string(path.data(), length > 0 ? static_cast<std::size_t>(length) : 0),
          code - map->l_addr};
}

/// The lines that a program prints, none where it cannot be run.
std::vector<std::string> lines_of(const std::string& command) {
  std::vector<std::string> result;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  if (pipe == nullptr) return result;
  std::string text;
  for (int character = 0; (character = std::fgetc(pipe.get())) != EOF;) {
    text += static_cast<char>(character);
  }
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) result.push_back(line);
  return result;
}

std::string quoted(const std::string& path) {
  std::string result = "'";
  for (const char character : path) {
    if (character == '\'') result += "'\\'";
    result += character;
  }
  return result + "'";
}

std::string in_function(std::uintptr_t code) {
  Dl_info info{};
  std::ostringstream text;
  if (dladdr(reinterpret_cast<void*>(code), &info) != 0 && info.dli_sname != nullptr) {
    text << info.dli_sname << "+0x" << std::hex
         << code - reinterpret_cast<std::uintptr_t>(info.dli_saddr);
  } else {
    text << "0x" << std::hex << code;
  }
  return text.str();
}

/// Takes the file name's discriminator "(...)" and ./ away.
std::string tidy(std::string line) {
  if (const auto space = line.find(" ("); space != std::string::npos) line.resize(space);
  return line;
}

void erase_all(std::string& text, const std::string& part) {
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part)) {
    text.erase(at, part.size());
  }
}

}  // namespace

std::string readable_kernel(const std::string& spelling) {
  // GCC: "... [with auto kernel = NAME]", clang: "... [kernel = &NAME]"
  const auto begin = spelling.find("kernel = ");
  const auto end = spelling.rfind(']');
  if (begin == std::string::npos || end == std::string::npos) return spelling;
  std::string name = spelling.substr(begin + 9, end - begin - 9);
  if (!name.empty() && name[0] == '&') name.erase(0, 1);
  for (const char* part :
       {"{anonymous}::", "(anonymous namespace)::", "batchwise::emulated::", "batchwise::"}) {
    erase_all(name, part);
  }
  return name;
}

std::string text_of(const Index& index) {
  std::string text = "(";
  text += std::to_string(index.x) + "," + std::to_string(index.y) + ",";
  text += std::to_string(index.z) + ")";
  return text;
}

std::string text_of(const Index& block, const Index& thread) {
  return "block " + text_of(block) + " thread " + text_of(thread);
}

std::string source_of(std::uintptr_t code) {
  const std::uintptr_t call = code - 1;  // the return address may belong to the next line
  const InFile place = in_file(call);
  std::ostringstream command;
  command << "addr2line -i -e " << quoted(place.path) << " 0x" << std::hex << place.address
          << " 2>/dev/null";
  std::string result;
  for (const std::string& line : lines_of(command.str())) {
    if (line.starts_with("??") || line.find("emulation/language.h:") != std::string::npos) continue;
    result += (result.empty() ? "" : ", inlined at ") + tidy(line);
  }
  return result.empty() ? in_function(call) : result;
}

KernelFault make_exception(const char* kernel, const Fault& fault) {
  std::string message = readable_kernel(kernel) + ": " + fault.what;
  for (const Remark& remark : fault.remarks) {
    message += "\n  " + remark.text;
    if (remark.code != 0) message += " at " + source_of(remark.code);
    if (remark.where.line != 0) {
      message += std::string(" at ") + remark.where.file + ":" + std::to_string(remark.where.line);
    }
  }
  return {fault.kind, message};
}

}  // namespace batchwise::emulation
