#include "COpenSSL.h"

#include <openssl/md4.h>
#include <stdlib.h>
#include <string.h>

/* The low-level hash states can be copied by assignment and need no memory of their own, which EVP's cannot; they are
   deprecated, and stable since 1998. */

int culvert_md4(const void *data, size_t length, uint8_t digest[16]) { return MD4(data, length, digest) != NULL; }

#define WITH_HASH(bits, STATE)                                                                                         \
  switch (bits) {                                                                                                      \
  case 128: STATE(md5, MD5) break;                                                                                     \
  case 160: STATE(sha1, SHA1) break;                                                                                   \
  case 256: STATE(sha256, SHA256) break;                                                                               \
  case 384: STATE(sha512, SHA384) break;                                                                               \
  case 512: STATE(sha512, SHA512) break;                                                                               \
  default: break;                                                                                                      \
  }

int culvert_hash_begin(culvert_hash *hash, int bits) {
  hash->bits = bits;
#define BEGIN(member, NAME) return NAME##_Init(&hash->state.member);
  WITH_HASH(bits, BEGIN)
  return 0;
}

void culvert_hash_update(culvert_hash *hash, const void *data, size_t length) {
#define UPDATE(member, NAME) NAME##_Update(&hash->state.member, data, length);
  WITH_HASH(hash->bits, UPDATE)
}

void culvert_hash_end(culvert_hash *hash, uint8_t *digest) {
#define END(member, NAME) NAME##_Final(digest, &hash->state.member);
  WITH_HASH(hash->bits, END)
  OPENSSL_cleanse(hash, sizeof *hash);
}

#define BLOCK_MAXIMUM 128
#define DIGEST_MAXIMUM 64

static size_t block_length(int bits) { return bits > 256 ? 128 : 64; }

/* The key to the block, longer ones as their digest (RFC 2104 section 2), masked by one byte all over. */
static int begin_masked(culvert_hash *hash, int bits, const uint8_t *key, size_t key_length, uint8_t mask) {
  uint8_t block[BLOCK_MAXIMUM];
  memset(block, mask, sizeof block);
  for (size_t i = 0; i < key_length; i++) block[i] ^= key[i];
  int begun = culvert_hash_begin(hash, bits);
  culvert_hash_update(hash, block, block_length(bits));
  OPENSSL_cleanse(block, sizeof block);
  return begun;
}

int culvert_hmac_begin(culvert_hmac *hmac, int bits, const uint8_t *key, size_t key_length) {
  uint8_t digest[DIGEST_MAXIMUM];
  if (key_length > block_length(bits)) {
    if (culvert_hash_begin(&hmac->inner, bits) != 1) return 0;
    culvert_hash_update(&hmac->inner, key, key_length);
    culvert_hash_end(&hmac->inner, digest);
    key = digest;
    key_length = (size_t)bits / 8;
  }
  int begun = begin_masked(&hmac->inner, bits, key, key_length, 0x36) == 1 &&
              begin_masked(&hmac->outer, bits, key, key_length, 0x5c) == 1;
  OPENSSL_cleanse(digest, sizeof digest);
  return begun;
}

void culvert_hmac_end(culvert_hmac *hmac, uint8_t *code) {
  uint8_t digest[DIGEST_MAXIMUM];
  size_t length = (size_t)hmac->inner.bits / 8;
  culvert_hash_end(&hmac->inner, digest);
  culvert_hash_update(&hmac->outer, digest, length);
  culvert_hash_end(&hmac->outer, code);
  OPENSSL_cleanse(digest, sizeof digest);
}

/* --- the packet path ---------------------------------------------------------------------------------------------- */

/* Of a hash state behind one whole block only the chaining value is its own, which is what every state begins with: of
   SHA-256's 112 bytes 32. An idle SA costs that much less, and a packet copies that much less. */
struct culvert_packet_mac {
  int bits;            /* of the hash; 0 for XCBC */
  EVP_CIPHER_CTX *aes; /* XCBC's, under its first derived key */
  uint8_t chains[];    /* inner, then outer; XCBC's second and third derived keys */
};

static size_t chain_length(int bits) {
#define CHAIN(member, NAME)                                                                                            \
  return offsetof(__typeof__(((culvert_hash *)NULL)->state.member), Nl);
  WITH_HASH(bits, CHAIN)
  return 0;
}

culvert_packet_mac *culvert_packet_hmac_create(int bits, const uint8_t *key, size_t key_length) {
  culvert_hmac begun;
  if (key_length > block_length(bits) || culvert_hmac_begin(&begun, bits, key, key_length) != 1)
    return NULL; /* ESP's keys are as long as the digest, so a longer one is a mistake of the caller */
  size_t length = chain_length(bits);
  culvert_packet_mac *hmac = malloc(sizeof *hmac + 2 * length);
  if (hmac != NULL) {
    hmac->bits = bits;
    hmac->aes = NULL;
    memcpy(hmac->chains, &begun.inner.state, length);
    memcpy(hmac->chains + length, &begun.outer.state, length);
  }
  OPENSSL_cleanse(&begun, sizeof begun);
  return hmac;
}

#define XCBC_BLOCK 16

culvert_packet_mac *culvert_packet_xcbc_create(const EVP_CIPHER *aes, const uint8_t *key) {
  /* Three keys: the blocks of bytes 1, 2 and 3, encrypted one by one (RFC 3566 section 4). */
  static const uint8_t zero[XCBC_BLOCK];
  uint8_t keys[3][XCBC_BLOCK];
  culvert_packet_mac *mac = malloc(sizeof *mac + 2 * XCBC_BLOCK);
  if (mac == NULL) return NULL;
  int good = 1;
  for (int i = 0; i < 3 && good; i++) {
    uint8_t block[XCBC_BLOCK];
    memset(block, i + 1, sizeof block);
    good = culvert_cbc(aes, 1, key, zero, block, sizeof block, keys[i]) == 1;
  }
  mac->bits = 0;
  mac->aes = good ? culvert_cipher_create(aes, keys[0], 1, 0, 0) : NULL;
  if (good) memcpy(mac->chains, keys[1], 2 * XCBC_BLOCK);
  OPENSSL_cleanse(keys, sizeof keys);
  if (mac->aes != NULL) return mac;
  culvert_packet_mac_free(mac);
  return NULL;
}

void culvert_packet_mac_free(culvert_packet_mac *mac) {
  if (mac == NULL) return;
  EVP_CIPHER_CTX_free(mac->aes); /* overwrites its key schedule */
  OPENSSL_cleanse(mac->chains, mac->bits == 0 ? 2 * XCBC_BLOCK : 2 * chain_length(mac->bits));
  free(mac);
}

/* The last block so far, which XCBC treats in its own way, and so is held back. */
typedef struct {
  uint8_t block[XCBC_BLOCK];
  int held;
} xcbc_tail;

static int xcbc_update(EVP_CIPHER_CTX *aes, xcbc_tail *tail, const uint8_t *data, size_t length) {
  uint8_t chain[32 * XCBC_BLOCK];
  while (length > 0) {
    if (tail->held == XCBC_BLOCK) {
      if (EVP_Cipher(aes, chain, tail->block, XCBC_BLOCK) != XCBC_BLOCK) return 0;
      tail->held = 0;
    }
    if (tail->held == 0 && length > XCBC_BLOCK) {
      size_t whole = (length - 1) / XCBC_BLOCK * XCBC_BLOCK;
      if (whole > sizeof chain) whole = sizeof chain;
      if (EVP_Cipher(aes, chain, data, (unsigned)whole) != (int)whole) return 0;
      data += whole;
      length -= whole;
      continue;
    }
    size_t part = (size_t)(XCBC_BLOCK - tail->held) < length ? (size_t)(XCBC_BLOCK - tail->held) : length;
    memcpy(tail->block + tail->held, data, part);
    tail->held += (int)part;
    data += part;
    length -= part;
  }
  return 1;
}

static int xcbc_compute(const culvert_packet_mac *mac, const uint8_t *before, size_t before_length, const uint8_t *data,
                        size_t length, const uint8_t *behind, size_t behind_length, uint8_t *code) {
  static const uint8_t zero[XCBC_BLOCK];
  xcbc_tail tail = {.held = 0};
  if (EVP_CipherInit_ex(mac->aes, NULL, NULL, NULL, zero, -1) != 1 ||
      xcbc_update(mac->aes, &tail, before, before_length) != 1 || xcbc_update(mac->aes, &tail, data, length) != 1 ||
      xcbc_update(mac->aes, &tail, behind, behind_length) != 1)
    return 0;
  const uint8_t *mask = mac->chains;
  if (tail.held < XCBC_BLOCK) {
    mask = mac->chains + XCBC_BLOCK;
    tail.block[tail.held++] = 0x80;
    memset(tail.block + tail.held, 0, (size_t)(XCBC_BLOCK - tail.held));
  }
  for (int i = 0; i < XCBC_BLOCK; i++) tail.block[i] ^= mask[i];
  int good = EVP_Cipher(mac->aes, code, tail.block, XCBC_BLOCK) == XCBC_BLOCK;
  OPENSSL_cleanse(&tail, sizeof tail);
  return good;
}

/* A state behind one block, from its chaining value. */
#define RESUME(NAME, which, block, DIGEST_LENGTH)                                                                      \
  memcpy(&state, hmac->chains + (which) * offsetof(__typeof__(state), Nl), offsetof(__typeof__(state), Nl));           \
  state.Nl = (block) * 8;                                                                                              \
  state.Nh = 0;                                                                                                        \
  state.num = 0;                                                                                                       \
  DIGEST_LENGTH

#define COMPUTE(NAME, TYPE, block, size, DIGEST_LENGTH)                                                                \
  {                                                                                                                    \
    TYPE state;                                                                                                        \
    RESUME(NAME, 0, block, DIGEST_LENGTH)                                                                              \
    if (before_length > 0) NAME##_Update(&state, before, before_length);                                               \
    NAME##_Update(&state, data, length);                                                                               \
    if (behind_length > 0) NAME##_Update(&state, behind, behind_length);                                               \
    NAME##_Final(inner, &state);                                                                                       \
    RESUME(NAME, 1, block, DIGEST_LENGTH)                                                                              \
    NAME##_Update(&state, inner, size);                                                                                \
    NAME##_Final(code, &state);                                                                                        \
    return 1;                                                                                                          \
  }

int culvert_packet_mac_compute(const culvert_packet_mac *hmac, const uint8_t *before, size_t before_length,
                               const uint8_t *data, size_t length, const uint8_t *behind, size_t behind_length,
                               uint8_t *code) {
  uint8_t inner[DIGEST_MAXIMUM];
  switch (hmac->bits) {
  case 0: return xcbc_compute(hmac, before, before_length, data, length, behind, behind_length, code);
  case 128: COMPUTE(MD5, MD5_CTX, 64, 16, )
  case 160: COMPUTE(SHA1, SHA_CTX, 64, 20, )
  case 256: COMPUTE(SHA256, SHA256_CTX, 64, 32, state.md_len = 32;)
  case 384: COMPUTE(SHA384, SHA512_CTX, 128, 48, state.md_len = 48;)
  case 512: COMPUTE(SHA512, SHA512_CTX, 128, 64, state.md_len = 64;)
  default: return 0;
  }
}
