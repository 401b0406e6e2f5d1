/* X.509 certificates, revocation lists, private keys and bare signatures. Included by COpenSSL.h.

   What comes from a peer goes in as DER with a length and is read to its last byte or not at all. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

/* Called once per item with bytes that live only for the call. */
typedef void (*culvert_visitor)(void *context, int type, const uint8_t *bytes, size_t length);

/* --- parsing: NULL on anything but exactly one value ------------------------------------------------------------- */

X509 *culvert_certificate_parse(const uint8_t *der, size_t length);
X509_CRL *culvert_crl_parse(const uint8_t *der, size_t length);
/* PKCS#7 SignedData whose signature nobody looks at: visits each certificate as DER. Returns 1 if it is such a thing. */
int culvert_pkcs7_certificates(const uint8_t *der, size_t length, void *context, culvert_visitor visitor);
/* The parts of a PEM text as DER; the type is 1 for a certificate, 2 for a CRL, 3 for a PKCS#7, 0 for anything else.
   Returns how many there were. */
int culvert_pem_parts(const uint8_t *text, size_t length, void *context, culvert_visitor visitor);
/* A private key from PEM; one that needs a passphrase is refused, with *encrypted set. */
EVP_PKEY *culvert_private_key_parse(const uint8_t *text, size_t length, int *encrypted);

/* --- a certificate's fields --------------------------------------------------------------------------------------- */

/* The DER of the subject (or issuer), which lives as long as the certificate. */
size_t culvert_certificate_name(const X509 *certificate, int issuer, const uint8_t **der);
/* The DER of a CRL's issuer. */
size_t culvert_crl_issuer(const X509_CRL *crl, const uint8_t **der);
/* Seconds since 1970. Returns 1 if both can be read. */
int culvert_certificate_times(const X509 *certificate, int64_t *not_before, int64_t *not_after);
/* The same of a CRL; *next_update is 0 where it has none. */
int culvert_crl_times(const X509_CRL *crl, int64_t *this_update, int64_t *next_update);
/* Visits each subjectAltName: 1 for an rfc822Name, 2 for a dNSName, 7 for an iPAddress. Returns 0 for a malformed one. */
int culvert_certificate_alternatives(const X509 *certificate, void *context, culvert_visitor visitor);
/* Whether an extendedKeyUsage, if there is one, allows what a peer of IKE does; see the source for the list. */
int culvert_certificate_usage_allows_ike(X509 *certificate, int server);
/* Whether a keyUsage, if there is one, allows signatures (RFC 4945 section 5.1.3.2). */
int culvert_certificate_usage_allows_signatures(X509 *certificate);
/* The subject as text (RFC 2253 escapes), in the order of the encoding or reversed. Free with culvert_free. */
char *culvert_name_text(const uint8_t *der, size_t length, int reversed);
/* Whether two names are equal by RFC 5280 section 7.1, whatever their encoding. */
int culvert_names_equal(const uint8_t *left, size_t left_length, const uint8_t *right, size_t right_length);
void culvert_free(void *pointer);

/* --- keys and signatures ------------------------------------------------------------------------------------------ */

/* A public or private key: kind 1 RSA, 2 EC on a curve by name, 3 Ed25519 or Ed448, 0 anything else. */
typedef struct {
  int kind;
  int bits;          /* RSA: of the modulus; EC: of the field */
  int exponent_good; /* RSA: odd, at least 3, at most 64 bits */
} culvert_key_facts;
culvert_key_facts culvert_key_describe(EVP_PKEY *key);

/* PKCS#1 v1.5 block type 1 over the bytes themselves, without DigestInfo (RFC 2409 section 5.1). The signature is as long
   as the modulus. Both return 1 on success. */
int culvert_rsa_sign(EVP_PKEY *key, const uint8_t *hash, size_t hash_length, uint8_t *signature, size_t length);
int culvert_rsa_verify(EVP_PKEY *key, const uint8_t *hash, size_t hash_length, const uint8_t *signature, size_t length);
/* ECDSA over the bytes themselves; the signature is r and s of half its length each (RFC 4754 section 7). */
int culvert_ecdsa_sign(EVP_PKEY *key, const uint8_t *hash, size_t hash_length, uint8_t *signature, size_t length);
int culvert_ecdsa_verify(EVP_PKEY *key, const uint8_t *hash, size_t hash_length, const uint8_t *signature,
                         size_t length);

/* --- chains ------------------------------------------------------------------------------------------------------- */

enum { culvert_revocation_off, culvert_revocation_where_known, culvert_revocation_required };

/* Whether `issuer`, by its names and usages, may have issued `subject`. */
int culvert_certificate_issued(X509 *issuer, X509 *subject);

/* Builds and verifies the chain of `leaf` to an anchor in `store` at `time` (seconds since 1970). Returns X509_V_OK, and
   the chain from `leaf` to the anchor to the visitor, or the first error, and at which depth. */
int culvert_chain_verify(X509_STORE *store, X509 *leaf, X509 *const *untrusted, size_t untrusted_count, int64_t time,
                         int depth_maximum, int security_level, int revocation, int *depth, void *context,
                         culvert_visitor visitor);
/* One line about an error of culvert_chain_verify; static memory. */
const char *culvert_chain_error(int error);
