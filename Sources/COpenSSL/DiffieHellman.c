#include "COpenSSL.h"

#include <pthread.h>
#include <string.h>

/* What is the same for every exchange of a group is made once and only read afterwards, by any thread: fetching it by name,
   or deriving it from the prime, takes longer than a third of a multiplication on P-256. It lives as long as the process. */

struct modp {
  int group;
  BIGNUM *(*prime_of)(BIGNUM *);
  BIGNUM *prime, *greatest; /* p and p - 1 */
  BN_MONT_CTX *montgomery;
};

static struct modp modp_groups[] = {
    {.group = 1, .prime_of = BN_get_rfc2409_prime_768},   {.group = 2, .prime_of = BN_get_rfc2409_prime_1024},
    {.group = 5, .prime_of = BN_get_rfc3526_prime_1536},  {.group = 14, .prime_of = BN_get_rfc3526_prime_2048},
    {.group = 15, .prime_of = BN_get_rfc3526_prime_3072}, {.group = 16, .prime_of = BN_get_rfc3526_prime_4096},
    {.group = 17, .prime_of = BN_get_rfc3526_prime_6144}, {.group = 18, .prime_of = BN_get_rfc3526_prime_8192},
};

struct curve {
  int group, nid;
  EC_GROUP *curve;
};

static struct curve curves[] = {
    {.group = 19, .nid = NID_X9_62_prime256v1},
    {.group = 20, .nid = NID_secp384r1},
    {.group = 21, .nid = NID_secp521r1},
};

static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static void prepare(void) {
  BN_CTX *context = BN_CTX_new();
  for (size_t i = 0; i < sizeof modp_groups / sizeof modp_groups[0]; i++) {
    struct modp *group = &modp_groups[i];
    BIGNUM *prime = group->prime_of(NULL), *greatest = prime == NULL ? NULL : BN_dup(prime);
    BN_MONT_CTX *montgomery = BN_MONT_CTX_new();
    /* A group that could not be prepared stays NULL, and every use of it fails. */
    if (greatest == NULL || montgomery == NULL || context == NULL || BN_sub_word(greatest, 1) != 1 ||
        BN_MONT_CTX_set(montgomery, prime, context) != 1) {
      BN_free(prime);
      BN_free(greatest);
      BN_MONT_CTX_free(montgomery);
      continue;
    }
    group->prime = prime;
    group->greatest = greatest;
    group->montgomery = montgomery;
  }
  BN_CTX_free(context);
  for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++)
    curves[i].curve = EC_GROUP_new_by_curve_name(curves[i].nid);
}

static const struct modp *modp(int number) {
  pthread_once(&prepared, prepare);
  for (size_t i = 0; i < sizeof modp_groups / sizeof modp_groups[0]; i++)
    if (modp_groups[i].group == number && modp_groups[i].prime != NULL) return &modp_groups[i];
  return NULL;
}

static const EC_GROUP *curve(int number) {
  pthread_once(&prepared, prepare);
  for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++)
    if (curves[i].group == number) return curves[i].curve;
  return NULL;
}

/* --- MODP ---------------------------------------------------------------------------------------------------------- */

int culvert_modp_length(int group) {
  const struct modp *known = modp(group);
  return known == NULL ? 0 : BN_num_bytes(known->prime);
}

int culvert_modp_power(int group, const uint8_t *base, const uint8_t *exponent, size_t exponent_length,
                       uint8_t *result) {
  const struct modp *known = modp(group);
  BN_CTX *context = BN_CTX_secure_new();
  if (known == NULL || context == NULL) {
    BN_CTX_free(context);
    return 0;
  }
  BN_CTX_start(context);
  BIGNUM *power = BN_CTX_get(context), *value = BN_CTX_get(context), *output = BN_CTX_get(context);
  int length = BN_num_bytes(known->prime);
  int good = output != NULL && BN_bin2bn(exponent, (int)exponent_length, power) != NULL &&
             (base == NULL ? BN_set_word(value, 2) == 1 : BN_bin2bn(base, length, value) != NULL);
  if (good) {
    BN_set_flags(power, BN_FLG_CONSTTIME);
    good = BN_mod_exp_mont_consttime(output, value, power, known->prime, context, known->montgomery) == 1 &&
           BN_bn2binpad(output, result, length) == length;
  }
  if (output != NULL) {
    BN_clear(power);
    BN_clear(output);
  }
  BN_CTX_end(context);
  BN_CTX_free(context);
  return good;
}

int culvert_modp_is_valid(int group, const uint8_t *value) {
  const struct modp *known = modp(group);
  BIGNUM *number = known == NULL ? NULL : BN_bin2bn(value, BN_num_bytes(known->prime), NULL);
  int good = number != NULL && BN_cmp(number, BN_value_one()) > 0 && BN_cmp(number, known->greatest) < 0;
  BN_free(number);
  return good;
}

/* --- curves of NIST ------------------------------------------------------------------------------------------------ */

int culvert_ec_draw(int group, uint8_t *number, size_t length) {
  const EC_GROUP *known = curve(group);
  BIGNUM *drawn = BN_secure_new();
  int good = known != NULL && drawn != NULL;
  /* Zero comes once in 2^256; it has no public value. */
  do good = good && BN_priv_rand_range(drawn, EC_GROUP_get0_order(known)) == 1;
  while (good && BN_is_zero(drawn));
  good = good && BN_bn2binpad(drawn, number, (int)length) == (int)length;
  BN_clear_free(drawn);
  return good;
}

#define POINT_MAXIMUM (1 + 2 * 66)

int culvert_ec_multiply(int group, const uint8_t *point, size_t point_length, const uint8_t *number,
                        size_t number_length, uint8_t *result, size_t result_length) {
  const EC_GROUP *known = curve(group);
  uint8_t encoded[POINT_MAXIMUM] = {POINT_CONVERSION_UNCOMPRESSED};
  if (known == NULL || point_length >= sizeof encoded || result_length >= sizeof encoded) return 0;
  if (point != NULL) memcpy(encoded + 1, point, point_length);
  BN_CTX *context = BN_CTX_secure_new();
  EC_POINT *product = EC_POINT_new(known);
  BIGNUM *factor = BN_secure_new();
  int good = context != NULL && product != NULL && factor != NULL &&
             BN_bin2bn(number, (int)number_length, factor) != NULL && !BN_is_zero(factor) &&
             BN_cmp(factor, EC_GROUP_get0_order(known)) < 0;
  if (good) {
    BN_set_flags(factor, BN_FLG_CONSTTIME);
    /* A point off the curve is refused where it is read; on these curves, whose cofactor is 1, all others are good. */
    good = point == NULL ? EC_POINT_mul(known, product, factor, NULL, NULL, context) == 1
                         : EC_POINT_oct2point(known, product, encoded, 1 + point_length, context) == 1 &&
                               EC_POINT_mul(known, product, NULL, product, factor, context) == 1;
  }
  size_t written =
      good ? EC_POINT_point2oct(known, product, POINT_CONVERSION_UNCOMPRESSED, encoded, sizeof encoded, context) : 0;
  good = written > result_length;
  if (good) memcpy(result, encoded + 1, result_length);
  OPENSSL_cleanse(encoded, sizeof encoded);
  BN_clear_free(factor);
  EC_POINT_clear_free(product);
  BN_CTX_free(context);
  ERR_clear_error();
  return good;
}

/* --- X25519 -------------------------------------------------------------------------------------------------------- */

EVP_PKEY *culvert_x25519_generate(void) { return EVP_PKEY_Q_keygen(NULL, NULL, "X25519"); }

EVP_PKEY *culvert_x25519_fixed(const uint8_t *number, size_t length) {
  EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, number, length);
  ERR_clear_error();
  return key;
}

int culvert_x25519_public(const EVP_PKEY *key, uint8_t *value, size_t length) {
  size_t found = length;
  return EVP_PKEY_get_raw_public_key(key, value, &found) == 1 && found == length;
}

int culvert_x25519_derive(EVP_PKEY *key, const uint8_t *peer, size_t peer_length, uint8_t *secret, size_t length) {
  EVP_PKEY *other = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, peer_length);
  EVP_PKEY_CTX *context = other == NULL ? NULL : EVP_PKEY_CTX_new(key, NULL);
  size_t derived = length;
  /* A secret of zeros is refused by the library itself. */
  int good = context != NULL && EVP_PKEY_derive_init(context) == 1 &&
             EVP_PKEY_derive_set_peer_ex(context, other, 0) == 1 &&
             EVP_PKEY_derive(context, secret, &derived) == 1 && derived == length;
  EVP_PKEY_CTX_free(context);
  EVP_PKEY_free(other);
  ERR_clear_error();
  return good;
}
