// Small data files for the tests of this folder, whole and broken, and a check of error messages.
#pragma once

#include <gtest/gtest.h>
#include <zip.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "engine/data/dataset.h"
#include "engine/error.h"

namespace batchwise {

/// Fails unless the call throws InputError with a message that holds every part.
template <class Call>
void expect_input_error(Call call, std::initializer_list<std::string_view> parts) {
  try {
    call();
  } catch (const InputError& error) {
    for (const std::string_view part : parts) {
      EXPECT_NE(std::string_view(error.what()).find(part), std::string_view::npos)
          << "no \"" << part << "\" in: " << error.what();
    }
    return;
  }
  ADD_FAILURE() << "no InputError";
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
}

inline std::string gzip(std::string_view bytes) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string compressed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(compressed.data());
  stream.avail_out = static_cast<uInt>(compressed.size());
  deflate(&stream, Z_FINISH);
  compressed.resize(stream.total_out);
  deflateEnd(&stream);
  return compressed;
}

inline std::string big_endian(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

inline std::string idx_header(std::initializer_list<std::uint32_t> extents) {
  std::string header = {'\0', '\0', '\x08', static_cast<char>(extents.size())};
  for (const std::uint32_t extent : extents) header += big_endian(extent);
  return header;
}

/// Bytes 0, 1, 2, ... (modulo 256).
inline std::string counting_bytes(std::size_t count) {
  std::string bytes;
  for (std::size_t index = 0; index < count; ++index) bytes += static_cast<char>(index);
  return bytes;
}

inline std::string npy_with_header(std::string_view header, std::string_view data) {
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 255);
  file += static_cast<char>(header.size() >> 8);
  return file.append(header).append(data);
}

/// An array as numpy.save writes it; shape in Python's notation.
template <class T>
std::string npy(std::string_view descr, std::string_view shape, const std::vector<T>& values) {
  const std::string header = "{'descr': '" + std::string(descr) +
                             "', 'fortran_order': False, 'shape': " + std::string(shape) + ", }\n";
  std::string data(values.size() * sizeof(T), '\0');
  if (!values.empty()) std::memcpy(data.data(), values.data(), data.size());
  return npy_with_header(header, data);
}

inline void write_zip(const std::filesystem::path& path,
                      const std::map<std::string, std::string>& members,
                      zip_int32_t method = ZIP_CM_STORE) {
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  for (const auto& [name, bytes] : members) {
    zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    const zip_int64_t index = zip_file_add(archive, name.c_str(), source, 0);
    zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), method, 9);
  }
  if (zip_close(archive) != 0) throw std::runtime_error(zip_strerror(archive));
}

inline std::string read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::vector<float> floats(const Samples& samples) {
  std::vector<float> values(samples.features.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), samples.features.data(), samples.features.size());
  return values;
}

/// FNV-1a, 64 bits: enough to notice any change.
inline std::uint64_t hash_of(std::span<const std::byte> bytes) {
  std::uint64_t hash = 14695981039346656037u;
  for (const std::byte byte : bytes)
    hash = (hash ^ std::to_integer<std::uint8_t>(byte)) * 1099511628211u;
  return hash;
}

}  // namespace batchwise
