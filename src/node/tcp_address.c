/* SPDX-License-Identifier: Apache-2.0
 *
 * The other end's address: as bytes for the guard, as text for people.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "node/internal.h"

size_t tcp_address_bytes(const struct sockaddr *address, uint8_t out[16]) {
    if (address->sa_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, address, sizeof(four));
        memcpy(out, &four.sin_addr, 4);
        return 4;
    }
    struct sockaddr_in6 six;
    memcpy(&six, address, sizeof(six));
    if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
        memcpy(out, six.sin6_addr.s6_addr + 12, 4);
        return 4;
    }
    memcpy(out, &six.sin6_addr, 16);
    return 16;
}

void tcp_address_text(const struct sockaddr *address, char out[WEFT_ENDPOINT_MAX + 1]) {
    uint8_t bytes[16];
    char text[INET6_ADDRSTRLEN] = "?";
    size_t len = tcp_address_bytes(address, bytes);
    in_port_t port = 0;
    if (address->sa_family == AF_INET) {
        memcpy(&port, (const char *)address + offsetof(struct sockaddr_in, sin_port), sizeof(port));
    } else {
        memcpy(&port, (const char *)address + offsetof(struct sockaddr_in6, sin6_port),
               sizeof(port));
    }
    (void)inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, text, sizeof(text));
    (void)snprintf(out, WEFT_ENDPOINT_MAX + 1, len == 4 ? "%s:%u" : "[%s]:%u", text,
                   (unsigned)ntohs(port));
}
