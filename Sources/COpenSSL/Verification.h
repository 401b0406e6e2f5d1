/* What Certificates.c and OCSP.c share; not for Swift. */
#pragma once

#include <openssl/x509.h>
#include <stdint.h>

/* Seconds since 1970. Returns 1 if `time` can be read. */
int culvert_time_seconds(const ASN1_TIME *time, int64_t *result);

/* Builds and verifies the chain of a context that has its certificate and its anchors. Returns X509_V_OK or the first
   error. */
int culvert_verify_prepared(X509_STORE_CTX *context, int64_t time, int depth_maximum, int security_level,
                            int revocation);
