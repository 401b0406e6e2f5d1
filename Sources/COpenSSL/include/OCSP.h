/* Questions to OCSP responders and their answers (RFC 6960). Included by COpenSSL.h.

   Nothing here looks at the clock: the time is an argument, and an answer's times are for the caller to judge. */
#pragma once

#include <openssl/x509.h>
#include <stddef.h>
#include <stdint.h>

#include "Certificates.h"

/* Visits each URI at which a certificate says that its status is told (RFC 5280 section 4.2.2.1), as bytes that nobody
   has looked at. */
void culvert_certificate_responders(const X509 *certificate, void *context, culvert_visitor visitor);

/* A request about `certificate`, which `issuer` issued, with a nonce of at most 32 bytes (RFC 8954). Returns the length
   of *der, to be freed with culvert_free, or 0. */
size_t culvert_ocsp_request(const X509 *certificate, const X509 *issuer, const uint8_t *nonce, size_t nonce_length,
                            uint8_t **der);

/* What may be wrong with an answer, in the order in which it is looked at. */
enum {
  culvert_ocsp_answered,
  culvert_ocsp_malformed,
  culvert_ocsp_not_successful, /* and `response_status` says why, which nobody signed */
  culvert_ocsp_foreign_signer, /* neither the issuer nor its delegate */
  culvert_ocsp_weak_signature,
  culvert_ocsp_bad_signature,
  culvert_ocsp_other_nonce,
  culvert_ocsp_other_certificate,
};

/* CertStatus (RFC 6960 section 4.2.1). */
enum { culvert_ocsp_good, culvert_ocsp_revoked, culvert_ocsp_unknown };

typedef struct {
  int response_status; /* OCSPResponseStatus (RFC 6960 section 4.2.1) */
  int status;
  int64_t this_update, next_update; /* seconds since 1970; next_update is 0 where there is none */
  int64_t revoked_at;  /* of a revoked one */
  int revocation_reason; /* CRLReason (RFC 5280 section 5.3.1); -1 where there is none */
} culvert_ocsp_answer;

/* Reads exactly one response and believes it if `issuer`, or a delegate that `issuer` certified for this at `time`, signed
   it, no revocation list of `store` takes the delegate back, and it is about `certificate`. A nonce that comes back must
   be ours, unless `nonce_length` is 0; responders that answer in advance send none. */
int culvert_ocsp_check(X509_STORE *store, const X509 *certificate, X509 *issuer, const uint8_t *nonce,
                       size_t nonce_length, const uint8_t *der, size_t length, int64_t time, int security_level,
                       culvert_ocsp_answer *answer);
