#include "engine/files/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <vector>

#include "engine/error.h"
#include "engine/files/file_reader.h"

namespace batchwise {
namespace {

void require(bool succeeded) {
  if (!succeeded) throw RunError("OpenSSL cannot compute SHA-256; check the system's libcrypto");
}

}  // namespace

void Sha256::Release::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  require(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256::update(std::span<const std::byte> bytes) {
  require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

std::string Sha256::hex() {
  std::array<unsigned char, 32> digest{};
  require(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const unsigned char byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string sha256_of(std::span<const std::byte> bytes) {
  Sha256 sum;
  sum.update(bytes);
  return sum.hex();
}

std::string sha256_of_file(const std::filesystem::path& path) {
  FileReader reader(path);
  Sha256 sum;
  std::vector<std::byte> piece;
  for (std::uint64_t left = reader.size_bytes(); left > 0; left -= piece.size()) {
    piece.resize(std::min<std::uint64_t>(left, std::size_t{1} << 20));
    reader.read(piece);
    sum.update(piece);
  }
  return sum.hex();
}

}  // namespace batchwise
