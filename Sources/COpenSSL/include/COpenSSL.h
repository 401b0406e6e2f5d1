/* OpenSSL's libcrypto for Swift: what is a macro, is deprecated but needed by old clients, or is called per packet. */
#pragma once

#ifndef OPENSSL_SUPPRESS_DEPRECATED
#define OPENSSL_SUPPRESS_DEPRECATED /* HMAC_CTX and the hash states are deprecated, and nothing newer is as fast */
#endif
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/obj_mac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include "Certificates.h"
#include <stddef.h>
#include <stdint.h>

/* MD4 (RFC 2759 needs it) without the legacy provider. */
int culvert_md4(const void *data, size_t length, uint8_t digest[16]);

/* --- Diffie-Hellman: all return 1 on success; public values are group_length bytes, leading zeros kept ------------ */

/* The length in bytes of the prime of a MODP group by its IKE number (RFC 2409, RFC 3526); 0 for other groups. */
int culvert_modp_length(int group);
/* result = base ^ exponent mod p, the base being 2 where it is NULL. Constant time in the exponent. */
int culvert_modp_power(int group, const uint8_t *base, const uint8_t *exponent, size_t exponent_length, uint8_t *result);
/* Whether 1 < value < p - 1. */
int culvert_modp_is_valid(int group, const uint8_t *value);

/* A fresh key pair on "P-256", "P-384", "P-521" or "X25519"; NULL on failure. */
EVP_PKEY *culvert_ecdh_generate(const char *curve);
/* The key pair of a given private number, for test vectors; NULL on failure. */
EVP_PKEY *culvert_ecdh_fixed(const char *curve, const uint8_t *number, size_t length);
/* The public value: the point with its leading 4, or X25519's 32 bytes. */
int culvert_ecdh_public(const EVP_PKEY *key, uint8_t *value, size_t length);
/* The shared secret with a peer's public value in the same form, which is checked to be on the curve. */
int culvert_ecdh_derive(EVP_PKEY *key, const uint8_t *peer, size_t peer_length, uint8_t *secret, size_t length);

/* One-shot CBC without padding; single DES runs as triple DES with one key, since its own cipher is in the legacy
   provider. Returns 1 on success. */
int culvert_cbc(const EVP_CIPHER *cipher, int encrypt, const uint8_t *key, const uint8_t *iv, const uint8_t *input,
                size_t length, uint8_t *output);

/* --- the packet path ------------------------------------------------------------------------------------------- */

/* A cipher context that holds its key schedule; only the IV changes per packet. */
EVP_CIPHER_CTX *culvert_cipher_create(const EVP_CIPHER *cipher, const uint8_t *key, int encrypt, int iv_length);

/* CBC in place; length is a multiple of the block. Returns 1 on success. */
int culvert_cbc_in_place(EVP_CIPHER_CTX *context, const uint8_t *iv, uint8_t *data, int length);

/* AEAD in place. seal writes the tag behind the data, open compares it. Returns 1 on success. */
int culvert_aead_seal(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                      int length, uint8_t *tag, int tag_length);
int culvert_aead_open(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                      int length, const uint8_t *tag, int tag_length);

/* HMAC with the inner and outer states computed once: two compressions less for every packet than HMAC_Init_ex. */
typedef struct culvert_hmac culvert_hmac;
culvert_hmac *culvert_hmac_create(int hash_bits, const uint8_t *key, size_t key_length);
void culvert_hmac_free(culvert_hmac *hmac);
/* Writes the whole digest (up to 64 bytes) of data followed by suffix (which may be empty). */
void culvert_hmac_compute(const culvert_hmac *hmac, const uint8_t *data, size_t length, const uint8_t *suffix,
                          size_t suffix_length, uint8_t *digest);
