#pragma once

#include <zlib.h>

// Raw DEFLATE (RFC 1951), as IPComp has it (RFC 2394): the calls are macros. Both return Z_OK on success.
static inline int culvert_deflate_begin(z_stream *stream) {
    // Half the memory of zlib's defaults, for packets; the window may be as long as a packet is.
    return deflateInit2(stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -MAX_WBITS, 7, Z_DEFAULT_STRATEGY);
}

static inline int culvert_inflate_begin(z_stream *stream) { return inflateInit2(stream, -MAX_WBITS); }
