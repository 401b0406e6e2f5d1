#include "COpenSSL.h"

#include <openssl/core_names.h>
#include <openssl/md4.h>
#include <openssl/md5.h>
#include <openssl/param_build.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

int culvert_md4(const void *data, size_t length, uint8_t digest[16]) { return MD4(data, length, digest) != NULL; }

static BIGNUM *modp_prime(int group) {
  switch (group) {
  case 1: return BN_get_rfc2409_prime_768(NULL);
  case 2: return BN_get_rfc2409_prime_1024(NULL);
  case 5: return BN_get_rfc3526_prime_1536(NULL);
  case 14: return BN_get_rfc3526_prime_2048(NULL);
  case 15: return BN_get_rfc3526_prime_3072(NULL);
  case 16: return BN_get_rfc3526_prime_4096(NULL);
  case 17: return BN_get_rfc3526_prime_6144(NULL);
  case 18: return BN_get_rfc3526_prime_8192(NULL);
  default: return NULL;
  }
}

int culvert_modp_length(int group) {
  BIGNUM *prime = modp_prime(group);
  int length = prime == NULL ? 0 : BN_num_bytes(prime);
  BN_free(prime);
  return length;
}

int culvert_modp_power(int group, const uint8_t *base, const uint8_t *exponent, size_t exponent_length,
                       uint8_t *result) {
  BIGNUM *prime = modp_prime(group), *power = BN_secure_new(), *value = BN_new(), *output = BN_secure_new();
  BN_CTX *context = BN_CTX_secure_new();
  int good = prime != NULL && power != NULL && value != NULL && output != NULL && context != NULL;
  int length = good ? BN_num_bytes(prime) : 0;
  good = good && BN_bin2bn(exponent, (int)exponent_length, power) != NULL &&
         (base == NULL ? BN_set_word(value, 2) == 1 : BN_bin2bn(base, length, value) != NULL);
  if (good) {
    BN_set_flags(power, BN_FLG_CONSTTIME);
    good = BN_mod_exp_mont_consttime(output, value, power, prime, context, NULL) == 1 &&
           BN_bn2binpad(output, result, length) == length;
  }
  BN_free(prime);
  BN_clear_free(power);
  BN_free(value);
  BN_clear_free(output);
  BN_CTX_free(context);
  return good;
}

int culvert_modp_is_valid(int group, const uint8_t *value) {
  BIGNUM *prime = modp_prime(group), *number = NULL;
  int good = 0;
  if (prime != NULL && (number = BN_bin2bn(value, BN_num_bytes(prime), NULL)) != NULL && BN_sub_word(prime, 1) == 1)
    good = BN_cmp(number, BN_value_one()) > 0 && BN_cmp(number, prime) < 0;
  BN_free(prime);
  BN_free(number);
  return good;
}

EVP_PKEY *culvert_ecdh_generate(const char *curve) {
  return strcmp(curve, "X25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "X25519")
                                      : EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
}

/* The encoded point of a private number, leading 4 and all; its length, or 0 for a number that the curve has not. */
static size_t point_of(const char *curve, const BIGNUM *number, uint8_t *point, size_t room) {
  int name = EC_curve_nist2nid(curve);
  EC_GROUP *group = name == NID_undef ? NULL : EC_GROUP_new_by_curve_name(name);
  EC_POINT *product = group == NULL ? NULL : EC_POINT_new(group);
  size_t length = 0;
  if (product != NULL && !BN_is_zero(number) && BN_cmp(number, EC_GROUP_get0_order(group)) < 0 &&
      EC_POINT_mul(group, product, number, NULL, NULL, NULL) == 1)
    length = EC_POINT_point2oct(group, product, POINT_CONVERSION_UNCOMPRESSED, point, room, NULL);
  EC_POINT_free(product);
  EC_GROUP_free(group);
  return length;
}

EVP_PKEY *culvert_ecdh_fixed(const char *curve, const uint8_t *number, size_t length) {
  if (strcmp(curve, "X25519") == 0) return EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, number, length);
  uint8_t point[1 + 2 * 66];
  EVP_PKEY *key = NULL;
  BIGNUM *value = BN_bin2bn(number, (int)length, NULL);
  size_t point_length = value == NULL ? 0 : point_of(curve, value, point, sizeof point);
  OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
  OSSL_PARAM *parameters = NULL;
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
  int made =
      point_length > 0 && builder != NULL && context != NULL &&
      OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) == 1 &&
      OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_PRIV_KEY, value) == 1 &&
      OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, point_length) == 1 &&
      (parameters = OSSL_PARAM_BLD_to_param(builder)) != NULL && EVP_PKEY_fromdata_init(context) == 1 &&
      EVP_PKEY_fromdata(context, &key, EVP_PKEY_KEYPAIR, parameters) == 1;
  OSSL_PARAM_free(parameters);
  EVP_PKEY_CTX_free(context);
  OSSL_PARAM_BLD_free(builder);
  BN_clear_free(value);
  ERR_clear_error();
  return made ? key : NULL;
}

int culvert_ecdh_public(const EVP_PKEY *key, uint8_t *value, size_t length) {
  unsigned char *encoded = NULL;
  size_t found = EVP_PKEY_get1_encoded_public_key((EVP_PKEY *)key, &encoded);
  int good = encoded != NULL && found == length;
  if (good) memcpy(value, encoded, length);
  OPENSSL_free(encoded);
  return good;
}

int culvert_ecdh_derive(EVP_PKEY *key, const uint8_t *peer, size_t peer_length, uint8_t *secret, size_t length) {
  EVP_PKEY *other = EVP_PKEY_new();
  EVP_PKEY_CTX *context = NULL;
  size_t derived = length;
  int good = other != NULL && EVP_PKEY_copy_parameters(other, key) == 1 &&
             EVP_PKEY_set1_encoded_public_key(other, peer, peer_length) == 1 &&
             (context = EVP_PKEY_CTX_new(key, NULL)) != NULL && EVP_PKEY_derive_init(context) == 1 &&
             EVP_PKEY_derive_set_peer(context, other) == 1 && EVP_PKEY_derive(context, secret, &derived) == 1 &&
             derived == length;
  EVP_PKEY_CTX_free(context);
  EVP_PKEY_free(other);
  ERR_clear_error();
  return good;
}

int culvert_cbc(const EVP_CIPHER *cipher, int encrypt, const uint8_t *key, const uint8_t *iv, const uint8_t *input,
                size_t length, uint8_t *output) {
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  int written = 0, good = 0;
  if (context != NULL && length <= INT32_MAX && EVP_CipherInit_ex(context, cipher, NULL, key, iv, encrypt) == 1) {
    EVP_CIPHER_CTX_set_padding(context, 0);
    good = EVP_CipherUpdate(context, output, &written, input, (int)length) == 1 && (size_t)written == length;
  }
  EVP_CIPHER_CTX_free(context);
  return good;
}

EVP_CIPHER_CTX *culvert_cipher_create(const EVP_CIPHER *cipher, const uint8_t *key, int encrypt, int iv_length) {
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context == NULL) return NULL;
  int good = EVP_CipherInit_ex(context, cipher, NULL, NULL, NULL, encrypt) == 1;
  if (good && iv_length > 0) good = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, iv_length, NULL) == 1;
  good = good && EVP_CipherInit_ex(context, NULL, NULL, key, NULL, encrypt) == 1;
  if (!good) {
    EVP_CIPHER_CTX_free(context);
    return NULL;
  }
  /* Padding is not switched off: OpenSSL would say so to its provider anew at each initialization vector, 30 to 60 ns a
     packet. GCM has none, and EVP_Cipher adds none. */
  return context;
}

int culvert_cbc_in_place(EVP_CIPHER_CTX *context, const uint8_t *iv, uint8_t *data, int length) {
  /* Whole blocks go straight to the cipher, past the buffer that EVP_CipherUpdate keeps for parts of one. */
  return length % EVP_CIPHER_CTX_get_block_size(context) == 0 &&
         EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) == 1 &&
         EVP_Cipher(context, data, data, (unsigned)length) == length;
}

/* The tag as a parameter: what EVP_CIPHER_CTX_ctrl would make of it, without its way there. */
#define TAG_PARAMETER(tag, length)                                                                                     \
  {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, (void *)(tag), (size_t)(length)),                      \
   OSSL_PARAM_construct_end()}

int culvert_aead_seal(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                      int length, uint8_t *tag, int tag_length) {
  OSSL_PARAM parameters[] = TAG_PARAMETER(tag, tag_length);
  int written = 0;
  return EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) == 1 &&
         EVP_CipherUpdate(context, NULL, &written, aad, aad_length) == 1 &&
         EVP_CipherUpdate(context, data, &written, data, length) == 1 &&
         EVP_CipherFinal_ex(context, data + length, &written) == 1 &&
         EVP_CIPHER_CTX_get_params(context, parameters) == 1;
}

int culvert_aead_open(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                      int length, const uint8_t *tag, int tag_length) {
  const OSSL_PARAM parameters[] = TAG_PARAMETER(tag, tag_length);
  int written = 0;
  return EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) == 1 &&
         EVP_CIPHER_CTX_set_params(context, parameters) == 1 &&
         EVP_CipherUpdate(context, NULL, &written, aad, aad_length) == 1 &&
         EVP_CipherUpdate(context, data, &written, data, length) == 1 &&
         EVP_CipherFinal_ex(context, data + length, &written) == 1;
}

/* The low-level hash states can be copied by assignment, which EVP's cannot; they are deprecated, and stable since 1998. */
struct culvert_hmac {
  int bits;
  union {
    MD5_CTX md5;
    SHA_CTX sha1;
    SHA256_CTX sha256;
    SHA512_CTX sha512;
  } inner, outer;
};

#define WITH_HASH(hmac, STATE)                                                                                         \
  switch ((hmac)->bits) {                                                                                              \
  case 128: STATE(md5, MD5, MD5_CTX, 16) break;                                                                        \
  case 160: STATE(sha1, SHA1, SHA_CTX, 20) break;                                                                      \
  case 256: STATE(sha256, SHA256, SHA256_CTX, 32) break;                                                               \
  case 384: STATE(sha512, SHA384, SHA512_CTX, 48) break;                                                               \
  case 512: STATE(sha512, SHA512, SHA512_CTX, 64) break;                                                               \
  default: break;                                                                                                      \
  }

culvert_hmac *culvert_hmac_create(int hash_bits, const uint8_t *key, size_t key_length) {
  culvert_hmac *hmac = calloc(1, sizeof *hmac);
  uint8_t pad[128];
  if (hmac == NULL) return NULL;
  hmac->bits = hash_bits;
  size_t block = hash_bits > 256 ? 128 : 64;
  if (key_length > block || (hash_bits != 128 && hash_bits != 160 && hash_bits < 256)) {
    free(hmac); /* ESP's keys are as long as the digest, so a longer one is a mistake of the caller */
    return NULL;
  }
#define INIT(member, NAME, TYPE, size)                                                                                 \
  memset(pad, 0x36, sizeof pad);                                                                                       \
  for (size_t i = 0; i < key_length; i++) pad[i] ^= key[i];                                                            \
  NAME##_Init(&hmac->inner.member);                                                                                    \
  NAME##_Update(&hmac->inner.member, pad, block);                                                                      \
  memset(pad, 0x5c, sizeof pad);                                                                                       \
  for (size_t i = 0; i < key_length; i++) pad[i] ^= key[i];                                                            \
  NAME##_Init(&hmac->outer.member);                                                                                    \
  NAME##_Update(&hmac->outer.member, pad, block);
  WITH_HASH(hmac, INIT)
  OPENSSL_cleanse(pad, sizeof pad);
  return hmac;
}

void culvert_hmac_free(culvert_hmac *hmac) {
  if (hmac == NULL) return;
  OPENSSL_cleanse(hmac, sizeof *hmac);
  free(hmac);
}

void culvert_hmac_compute(const culvert_hmac *hmac, const uint8_t *data, size_t length, const uint8_t *suffix,
                          size_t suffix_length, uint8_t *digest) {
  uint8_t inner[64];
#define COMPUTE(member, NAME, TYPE, size)                                                                              \
  {                                                                                                                    \
    TYPE state = hmac->inner.member;                                                                                   \
    NAME##_Update(&state, data, length);                                                                               \
    if (suffix_length > 0) NAME##_Update(&state, suffix, suffix_length);                                               \
    NAME##_Final(inner, &state);                                                                                       \
    state = hmac->outer.member;                                                                                        \
    NAME##_Update(&state, inner, size);                                                                                \
    NAME##_Final(digest, &state);                                                                                      \
  }
  WITH_HASH(hmac, COMPUTE)
}
