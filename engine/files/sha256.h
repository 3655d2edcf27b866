// SHA-256 of memory and of files, as lower-case hexadecimal text; computed by OpenSSL.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace batchwise {

/// The digest of a sequence of bytes given in pieces.
class Sha256 {
 public:
  Sha256();

  void update(std::span<const std::byte> bytes);
  /// Ends the sequence, so it is called once: 64 hexadecimal digits.
  [[nodiscard]] std::string hex();

 private:
  struct Release {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Release> context_;
};

[[nodiscard]] std::string sha256_of(std::span<const std::byte> bytes);

/// An InputError where the file cannot be read.
[[nodiscard]] std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace batchwise
