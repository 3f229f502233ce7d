/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the operating errors. They appear in logs and in JSON, so they never change.
 */
#include "weft/err.h"

const char *weft_err_name(enum weft_err err) {
    switch (err) {
    case WEFT_OK:
        return "ok";
    case WEFT_ERR_MEMORY:
        return "memory";
    case WEFT_ERR_MALFORMED:
        return "malformed";
    case WEFT_ERR_AUTH:
        return "auth";
    case WEFT_ERR_VERSION:
        return "version";
    case WEFT_ERR_FULL:
        return "full";
    case WEFT_ERR_EXISTS:
        return "exists";
    case WEFT_ERR_NOT_FOUND:
        return "not-found";
    case WEFT_ERR_STALE:
        return "stale";
    case WEFT_ERR_STATE:
        return "state";
    case WEFT_ERR_UNREACHABLE:
        return "unreachable";
    case WEFT_ERR_REFUSED:
        return "refused";
    case WEFT_ERR_TIMEOUT:
        return "timeout";
    case WEFT_ERR_INVALID:
        return "invalid";
    case WEFT_ERR_IO:
        return "io";
    }
    return "unknown"; /* a number that some other version or a bug put there */
}
