/* OpenSSL's libcrypto for Swift: what is a macro, is deprecated but needed by old clients, or is called per packet. */
#pragma once

#ifndef OPENSSL_SUPPRESS_DEPRECATED
#define OPENSSL_SUPPRESS_DEPRECATED /* the hash states are deprecated, and nothing newer is as fast */
#endif
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include "Certificates.h"
#include "OCSP.h"
#include <stddef.h>
#include <stdint.h>

/* MD4 (RFC 2759 needs it) without the legacy provider. */
int culvert_md4(const void *data, size_t length, uint8_t digest[16]);

/* A hash by its bits: 128 MD5, 160 SHA-1, 256, 384 and 512 SHA-2. Without memory of its own, unlike EVP's. */
typedef struct {
  int bits;
  union {
    MD5_CTX md5;
    SHA_CTX sha1;
    SHA256_CTX sha256;
    SHA512_CTX sha512;
  } state;
} culvert_hash;

/* Returns 1, or 0 for other bits. */
int culvert_hash_begin(culvert_hash *hash, int bits);
void culvert_hash_update(culvert_hash *hash, const void *data, size_t length);
/* Writes the digest and overwrites the state. */
void culvert_hash_end(culvert_hash *hash, uint8_t *digest);

/* HMAC (RFC 2104) over parts: update `inner`. */
typedef struct {
  culvert_hash inner, outer;
} culvert_hmac;

/* Returns 1, or 0 for other bits. The key may have any length. */
int culvert_hmac_begin(culvert_hmac *hmac, int bits, const uint8_t *key, size_t key_length);
/* Writes the code and overwrites both states. */
void culvert_hmac_end(culvert_hmac *hmac, uint8_t *code);

/* --- Diffie-Hellman: all return 1 on success; public values are group_length bytes, leading zeros kept ------------ */

/* The length in bytes of the prime of a MODP group by its IKE number (RFC 2409, RFC 3526); 0 for other groups. */
int culvert_modp_length(int group);
/* result = base ^ exponent mod p, the base being 2 where it is NULL. Constant time in the exponent. */
int culvert_modp_power(int group, const uint8_t *base, const uint8_t *exponent, size_t exponent_length, uint8_t *result);
/* Whether 1 < value < p - 1. */
int culvert_modp_is_valid(int group, const uint8_t *value);

/* A private number of a curve of NIST by its IKE number (RFC 5903), below the curve's order and not zero. */
int culvert_ec_draw(int group, uint8_t *number, size_t length);
/* number * point, the curve's generator where point is NULL. Points are X and Y without a leading 4; result_length says
   whether Y is wanted. Refused are points off the curve and numbers that are not below the order. Constant time. */
int culvert_ec_multiply(int group, const uint8_t *point, size_t point_length, const uint8_t *number,
                        size_t number_length, uint8_t *result, size_t result_length);

/* A fresh key pair of X25519, or that of a given private number; NULL on failure. */
EVP_PKEY *culvert_x25519_generate(void);
EVP_PKEY *culvert_x25519_fixed(const uint8_t *number, size_t length);
int culvert_x25519_public(const EVP_PKEY *key, uint8_t *value, size_t length);
int culvert_x25519_derive(EVP_PKEY *key, const uint8_t *peer, size_t peer_length, uint8_t *secret, size_t length);

/* One-shot CBC without padding; single DES runs as triple DES with one key, since its own cipher is in the legacy
   provider. Returns 1 on success. */
int culvert_cbc(const EVP_CIPHER *cipher, int encrypt, const uint8_t *key, const uint8_t *iv, const uint8_t *input,
                size_t length, uint8_t *output);

/* --- the packet path ------------------------------------------------------------------------------------------- */

/* A cipher context that holds its key schedule; only the IV changes per packet. */
EVP_CIPHER_CTX *culvert_cipher_create(const EVP_CIPHER *cipher, const uint8_t *key, int encrypt, int iv_length,
                                      int tag_length);

/* CBC, of whole blocks, or CTR in place. Returns 1 on success. */
int culvert_cipher_in_place(EVP_CIPHER_CTX *context, const uint8_t *iv, uint8_t *data, int length);

/* AEAD in place. seal writes the tag behind the data, open compares it. Returns 1 on success. */
int culvert_aead_seal(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                      int length, uint8_t *tag, int tag_length);
int culvert_aead_open(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                      int length, const uint8_t *tag, int tag_length);
/* The same for CCM, which wants to know the length first and compares the tag before it gives anything out. */
int culvert_ccm_seal(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                     int length, uint8_t *tag, int tag_length);
int culvert_ccm_open(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                     int length, const uint8_t *tag, int tag_length);

/* What authenticates packets, its key set: HMAC with the inner and outer states computed once, which saves two
   compressions for every packet, or AES-XCBC-MAC (RFC 3566). Overwritten when it is freed. */
typedef struct culvert_packet_mac culvert_packet_mac;
culvert_packet_mac *culvert_packet_hmac_create(int bits, const uint8_t *key, size_t key_length);
/* aes is AES-128-CBC, the key has 16 bytes. */
culvert_packet_mac *culvert_packet_xcbc_create(const EVP_CIPHER *aes, const uint8_t *key);
void culvert_packet_mac_free(culvert_packet_mac *mac);

/* Writes the whole code (up to 64 bytes) of data, what is before it and what is behind it. Returns 1 on success. */
int culvert_packet_mac_compute(const culvert_packet_mac *mac, const uint8_t *before, size_t before_length,
                               const uint8_t *data, size_t length, const uint8_t *behind, size_t behind_length,
                               uint8_t *code);
