#include "Certificates.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "Verification.h"

/* --- parsing ------------------------------------------------------------------------------------------------------ */

X509 *culvert_certificate_parse(const uint8_t *der, size_t length) {
  const unsigned char *position = der;
  X509 *certificate = length <= INT32_MAX ? d2i_X509(NULL, &position, (long)length) : NULL;
  if (certificate != NULL && position != der + length) {
    X509_free(certificate);
    certificate = NULL;
  }
  ERR_clear_error();
  return certificate;
}

X509_CRL *culvert_crl_parse(const uint8_t *der, size_t length) {
  const unsigned char *position = der;
  X509_CRL *crl = length <= INT32_MAX ? d2i_X509_CRL(NULL, &position, (long)length) : NULL;
  if (crl != NULL && position != der + length) {
    X509_CRL_free(crl);
    crl = NULL;
  }
  ERR_clear_error();
  return crl;
}

static void visit_certificate(X509 *certificate, void *context, culvert_visitor visitor) {
  unsigned char *encoded = NULL;
  int length = i2d_X509(certificate, &encoded);
  if (length > 0) visitor(context, 1, encoded, (size_t)length);
  OPENSSL_free(encoded);
}

int culvert_pkcs7_certificates(const uint8_t *der, size_t length, void *context, culvert_visitor visitor) {
  const unsigned char *position = der;
  PKCS7 *message = length <= INT32_MAX ? d2i_PKCS7(NULL, &position, (long)length) : NULL;
  int good = message != NULL && position == der + length && PKCS7_type_is_signed(message) && message->d.sign != NULL;
  STACK_OF(X509) *certificates = good ? message->d.sign->cert : NULL;
  for (int index = 0; good && index < sk_X509_num(certificates); index += 1)
    visit_certificate(sk_X509_value(certificates, index), context, visitor);
  PKCS7_free(message);
  ERR_clear_error();
  return good;
}

int culvert_pem_parts(const uint8_t *text, size_t length, void *context, culvert_visitor visitor) {
  BIO *input = length <= INT32_MAX ? BIO_new_mem_buf(text, (int)length) : NULL;
  char *name = NULL, *header = NULL;
  unsigned char *data = NULL;
  long data_length = 0;
  int count = 0;
  while (input != NULL && PEM_read_bio(input, &name, &header, &data, &data_length) == 1) {
    int type = 0;
    if (strcmp(name, PEM_STRING_X509) == 0 || strcmp(name, PEM_STRING_X509_OLD) == 0) type = 1;
    if (strcmp(name, PEM_STRING_X509_CRL) == 0) type = 2;
    if (strcmp(name, PEM_STRING_PKCS7) == 0) type = 3;
    visitor(context, type, data, (size_t)data_length);
    OPENSSL_free(name);
    OPENSSL_free(header);
    /* It may be a key that stands beside its certificate. */
    OPENSSL_clear_free(data, (size_t)data_length);
    count += 1;
  }
  BIO_free(input);
  ERR_clear_error();
  return count;
}

static int refuse_passphrase(char *buffer, int size, int writing, void *encrypted) {
  (void)buffer, (void)size, (void)writing;
  *(int *)encrypted = 1;
  return -1;
}

EVP_PKEY *culvert_private_key_parse(const uint8_t *text, size_t length, int *encrypted) {
  BIO *input = length <= INT32_MAX ? BIO_new_mem_buf(text, (int)length) : NULL;
  EVP_PKEY *key = NULL;
  *encrypted = 0;
  if (input != NULL) key = PEM_read_bio_PrivateKey(input, NULL, refuse_passphrase, encrypted);
  BIO_free(input);
  ERR_clear_error();
  return key;
}

/* --- a certificate's fields --------------------------------------------------------------------------------------- */

static size_t name_bytes(const X509_NAME *name, const uint8_t **der) {
  size_t length = 0;
  if (name == NULL || X509_NAME_get0_der(name, der, &length) != 1) return 0;
  return length;
}

size_t culvert_certificate_name(const X509 *certificate, int issuer, const uint8_t **der) {
  return name_bytes(issuer ? X509_get_issuer_name(certificate) : X509_get_subject_name(certificate), der);
}

size_t culvert_crl_issuer(const X509_CRL *crl, const uint8_t **der) {
  return name_bytes(X509_CRL_get_issuer(crl), der);
}

int culvert_time_seconds(const ASN1_TIME *time, int64_t *result) {
  struct tm fields;
  if (time == NULL || ASN1_TIME_to_tm(time, &fields) != 1) return 0;
  *result = (int64_t)timegm(&fields);
  return 1;
}

int culvert_certificate_times(const X509 *certificate, int64_t *not_before, int64_t *not_after) {
  int good = culvert_time_seconds(X509_get0_notBefore(certificate), not_before) &&
             culvert_time_seconds(X509_get0_notAfter(certificate), not_after);
  ERR_clear_error();
  return good;
}

int culvert_crl_times(const X509_CRL *crl, int64_t *this_update, int64_t *next_update) {
  const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
  *next_update = 0;
  int good = culvert_time_seconds(X509_CRL_get0_lastUpdate(crl), this_update) && (next == NULL || culvert_time_seconds(next, next_update));
  ERR_clear_error();
  return good;
}

int culvert_certificate_alternatives(const X509 *certificate, void *context, culvert_visitor visitor) {
  int critical = 0;
  GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);
  /* -1: there is none. -2: there are two. Otherwise it could not be read. */
  if (names == NULL) {
    ERR_clear_error();
    return critical == -1;
  }
  for (int index = 0; index < sk_GENERAL_NAME_num(names); index += 1) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
    const ASN1_STRING *value = NULL;
    if (name->type == GEN_EMAIL || name->type == GEN_DNS) value = name->d.ia5;
    if (name->type == GEN_IPADD) value = name->d.ip;
    if (value != NULL)
      visitor(context, name->type, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
  }
  GENERAL_NAMES_free(names);
  ERR_clear_error();
  return 1;
}

/* RFC 4945 section 5.1.3.12 wants none of these to be required, and names the first; what clients' certificates really
   carry are the others. */
static const char *const ike_usages[] = {
    "2.5.29.37.0",       /* anyExtendedKeyUsage */
    "1.3.6.1.5.5.7.3.2", /* clientAuth */
    "1.3.6.1.5.5.7.3.5", /* ipsecEndSystem */
    "1.3.6.1.5.5.7.3.6", /* ipsecTunnel */
    "1.3.6.1.5.5.7.3.7", /* ipsecUser */
    "1.3.6.1.5.5.7.3.17", /* ipsecIKE */
    "1.3.6.1.5.5.8.2.2", /* iKEIntermediate, which Windows and racoon know */
};

/* What RFC 4945 lets a gateway have beside that, and what public authorities give it. */
static const char *server_usage = "1.3.6.1.5.5.7.3.1";

int culvert_certificate_usage_allows_ike(X509 *certificate, int server) {
  int critical = 0, good = 0;
  EXTENDED_KEY_USAGE *usages = X509_get_ext_d2i(certificate, NID_ext_key_usage, &critical, NULL);
  if (usages == NULL) {
    ERR_clear_error();
    return critical == -1;
  }
  for (int index = 0; index < sk_ASN1_OBJECT_num(usages) && !good; index += 1) {
    char text[80];
    int length = OBJ_obj2txt(text, sizeof text, sk_ASN1_OBJECT_value(usages, index), 1);
    if (length <= 0 || length >= (int)sizeof text) continue;
    for (size_t known = 0; known < sizeof ike_usages / sizeof *ike_usages; known += 1)
      if (strcmp(text, ike_usages[known]) == 0) good = 1;
    if (server && strcmp(text, server_usage) == 0) good = 1;
  }
  EXTENDED_KEY_USAGE_free(usages);
  ERR_clear_error();
  return good;
}

int culvert_certificate_usage_allows_signatures(X509 *certificate) {
  /* All bits where there is no keyUsage. */
  return (X509_get_key_usage(certificate) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)) != 0;
}

static X509_NAME *name_parse(const uint8_t *der, size_t length) {
  const unsigned char *position = der;
  X509_NAME *name = length <= INT32_MAX ? d2i_X509_NAME(NULL, &position, (long)length) : NULL;
  if (name != NULL && position != der + length) {
    X509_NAME_free(name);
    name = NULL;
  }
  ERR_clear_error();
  return name;
}

char *culvert_name_text(const uint8_t *der, size_t length, int reversed) {
  X509_NAME *name = name_parse(der, length);
  BIO *output = BIO_new(BIO_s_mem());
  /* Only ASCII comes out: what a log or a terminal could stumble over is escaped. */
  unsigned long flags = (XN_FLAG_RFC2253 | ASN1_STRFLGS_ESC_MSB | ASN1_STRFLGS_ESC_CTRL) &
                        ~(unsigned long)(reversed ? 0 : XN_FLAG_DN_REV);
  char *text = NULL;
  if (name != NULL && output != NULL && X509_NAME_print_ex(output, name, 0, flags) >= 0) {
    char *bytes = NULL;
    long count = BIO_get_mem_data(output, &bytes);
    if (count >= 0) text = OPENSSL_strndup(count == 0 ? "" : bytes, (size_t)count);
  }
  X509_NAME_free(name);
  BIO_free(output);
  ERR_clear_error();
  return text;
}

int culvert_names_equal(const uint8_t *left, size_t left_length, const uint8_t *right, size_t right_length) {
  X509_NAME *first = name_parse(left, left_length), *second = name_parse(right, right_length);
  int equal = first != NULL && second != NULL && X509_NAME_entry_count(first) > 0 &&
              X509_NAME_cmp(first, second) == 0;
  X509_NAME_free(first);
  X509_NAME_free(second);
  ERR_clear_error();
  return equal;
}

void culvert_free(void *pointer) { OPENSSL_free(pointer); }

/* --- keys and signatures ------------------------------------------------------------------------------------------ */

static int exponent_is_good(EVP_PKEY *key) {
  BIGNUM *exponent = NULL;
  int good = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1 && BN_is_odd(exponent) &&
             !BN_is_negative(exponent) && !BN_is_one(exponent) && BN_num_bits(exponent) <= 64;
  BN_free(exponent);
  return good;
}

/* A curve by its name, not by parameters that say the same or almost the same. */
static int curve_is_named(EVP_PKEY *key) {
  int explicitly = 1;
  char name[40];
  size_t length = 0;
  return EVP_PKEY_get_group_name(key, name, sizeof name, &length) == 1 &&
         EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicitly) == 1 &&
         explicitly == 0;
}

culvert_key_facts culvert_key_describe(EVP_PKEY *key) {
  culvert_key_facts facts = {0, 0, 0};
  if (key == NULL) return facts;
  switch (EVP_PKEY_get_base_id(key)) {
  case EVP_PKEY_RSA:
    facts.kind = 1;
    facts.bits = EVP_PKEY_get_bits(key);
    facts.exponent_good = exponent_is_good(key);
    break;
  case EVP_PKEY_EC:
    facts.kind = curve_is_named(key) ? 2 : 0;
    facts.bits = EVP_PKEY_get_bits(key);
    break;
  case EVP_PKEY_ED25519:
  case EVP_PKEY_ED448:
    facts.kind = 3;
    facts.bits = EVP_PKEY_get_bits(key);
    break;
  default: break;
  }
  ERR_clear_error();
  return facts;
}

int culvert_rsa_sign(EVP_PKEY *key, const uint8_t *hash, size_t hash_length, uint8_t *signature, size_t length) {
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
  size_t written = length;
  int good = context != NULL && EVP_PKEY_sign_init(context) == 1 &&
             EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
             EVP_PKEY_sign(context, signature, &written, hash, hash_length) == 1 && written == length;
  EVP_PKEY_CTX_free(context);
  ERR_clear_error();
  return good;
}

int culvert_rsa_verify(EVP_PKEY *key, const uint8_t *hash, size_t hash_length, const uint8_t *signature, size_t length) {
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
  int good = context != NULL && (int)length == EVP_PKEY_get_size(key) && EVP_PKEY_verify_init(context) == 1 &&
             EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
             EVP_PKEY_verify(context, signature, length, hash, hash_length) == 1;
  EVP_PKEY_CTX_free(context);
  ERR_clear_error();
  return good;
}

int culvert_ecdsa_sign(EVP_PKEY *key, const uint8_t *hash, size_t hash_length, uint8_t *signature, size_t length) {
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
  uint8_t encoded[160];
  const unsigned char *position = encoded;
  size_t written = sizeof encoded;
  ECDSA_SIG *value = NULL;
  int half = (int)(length / 2);
  int good = context != NULL && EVP_PKEY_sign_init(context) == 1 &&
             EVP_PKEY_sign(context, encoded, &written, hash, hash_length) == 1 &&
             (value = d2i_ECDSA_SIG(NULL, &position, (long)written)) != NULL &&
             BN_bn2binpad(ECDSA_SIG_get0_r(value), signature, half) == half &&
             BN_bn2binpad(ECDSA_SIG_get0_s(value), signature + half, half) == half;
  ECDSA_SIG_free(value);
  EVP_PKEY_CTX_free(context);
  ERR_clear_error();
  return good;
}

int culvert_ecdsa_verify(EVP_PKEY *key, const uint8_t *hash, size_t hash_length, const uint8_t *signature,
                         size_t length) {
  int half = (int)(length / 2), good = 0;
  ECDSA_SIG *value = ECDSA_SIG_new();
  BIGNUM *r = BN_bin2bn(signature, half, NULL), *s = BN_bin2bn(signature + half, half, NULL);
  EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
  unsigned char *encoded = NULL;
  if (value != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(value, r, s) == 1) {
    r = s = NULL;
    int encoded_length = i2d_ECDSA_SIG(value, &encoded);
    good = encoded_length > 0 && context != NULL && EVP_PKEY_verify_init(context) == 1 &&
           EVP_PKEY_verify(context, encoded, (size_t)encoded_length, hash, hash_length) == 1;
  }
  OPENSSL_free(encoded);
  BN_free(r);
  BN_free(s);
  ECDSA_SIG_free(value);
  EVP_PKEY_CTX_free(context);
  ERR_clear_error();
  return good;
}

/* --- chains ------------------------------------------------------------------------------------------------------- */

int culvert_certificate_issued(X509 *issuer, X509 *subject) {
  int issued = X509_check_issued(issuer, subject) == X509_V_OK;
  ERR_clear_error();
  return issued;
}

/* Lets pass what revocation lists do not say, unless they are required to. */
static int judge(int good, X509_STORE_CTX *context) {
  if (good) return 1;
  const int *revocation = X509_STORE_CTX_get_app_data(context);
  int is_anchor = X509_STORE_CTX_get_error_depth(context) + 1 == sk_X509_num(X509_STORE_CTX_get0_chain(context));
  switch (X509_STORE_CTX_get_error(context)) {
  case X509_V_ERR_UNABLE_TO_GET_CRL:
  case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
  case X509_V_ERR_DIFFERENT_CRL_SCOPE:
  case X509_V_ERR_CRL_HAS_EXPIRED:
  case X509_V_ERR_CRL_NOT_YET_VALID:
    /* An anchor is trusted because the operator says so, not its issuer. */
    if (is_anchor || *revocation != culvert_revocation_required) {
      X509_STORE_CTX_set_error(context, X509_V_OK);
      return 1;
    }
    return 0;
  case X509_V_ERR_CRL_SIGNATURE_FAILURE:
  case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
    /* The list of an anchor's own issuer, whom we do not know. */
    if (is_anchor) {
      X509_STORE_CTX_set_error(context, X509_V_OK);
      return 1;
    }
    return 0;
  default: return 0;
  }
}

int culvert_verify_prepared(X509_STORE_CTX *context, int64_t time, int depth_maximum, int security_level,
                            int revocation) {
  X509_VERIFY_PARAM *parameters = X509_STORE_CTX_get0_param(context);
  unsigned long flags = X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST;
  if (revocation != culvert_revocation_off) flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
  X509_VERIFY_PARAM_set_flags(parameters, flags);
  X509_VERIFY_PARAM_set_time(parameters, (time_t)time);
  X509_VERIFY_PARAM_set_depth(parameters, depth_maximum);
  X509_VERIFY_PARAM_set_auth_level(parameters, security_level);
  X509_STORE_CTX_set_app_data(context, &revocation);
  X509_STORE_CTX_set_verify_cb(context, judge);
  if (X509_verify_cert(context) == 1) return X509_V_OK;
  int error = X509_STORE_CTX_get_error(context);
  return error == X509_V_OK ? X509_V_ERR_UNSPECIFIED : error;
}

static void visit_chain(X509_STORE_CTX *verified, void *context, culvert_visitor visitor) {
  STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(verified);
  for (int index = 0; index < sk_X509_num(chain); index += 1)
    visit_certificate(sk_X509_value(chain, index), context, visitor);
}

int culvert_chain_verify(X509_STORE *store, X509 *leaf, X509 *const *untrusted, size_t untrusted_count, int64_t time,
                         int depth_maximum, int security_level, int revocation, int *depth, void *context,
                         culvert_visitor visitor) {
  X509_STORE_CTX *verification = X509_STORE_CTX_new();
  STACK_OF(X509) *others = sk_X509_new_null();
  int error = X509_V_ERR_OUT_OF_MEM;
  *depth = 0;
  for (size_t index = 0; others != NULL && index < untrusted_count; index += 1)
    sk_X509_push(others, untrusted[index]);
  if (verification != NULL && others != NULL && X509_STORE_CTX_init(verification, store, leaf, others) == 1) {
    error = culvert_verify_prepared(verification, time, depth_maximum, security_level, revocation);
    *depth = X509_STORE_CTX_get_error_depth(verification);
    if (error == X509_V_OK) visit_chain(verification, context, visitor);
  }
  X509_STORE_CTX_free(verification);
  sk_X509_free(others);
  ERR_clear_error();
  return error;
}

const char *culvert_chain_error(int error) { return X509_verify_cert_error_string(error); }
