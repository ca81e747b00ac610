/* Publishes ticks on a bridge's Unix socket, and prints every tick that is on the bus, its own included.
 *
 *   mycelium codegen ../../contracts.yaml --c-out messages.h
 *   cc -std=c11 -O2 -o ticker ticker.c
 *   mycelium bridge --unix /tmp/bus.sock --contracts ../../contracts.yaml &
 *   ./ticker /tmp/bus.sock 5
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "messages.h"

static int connected(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    int bus = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bus >= 0 && connect(bus, (struct sockaddr *)&address, sizeof address) == 0) return bus;
    if (bus >= 0) close(bus);
    return -1;
}

static int send_all(int bus, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        ssize_t sent = send(bus, bytes, size, MSG_NOSIGNAL);
        if (sent < 0) return -1;
        bytes += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static int closed(void) {
    fprintf(stderr, "the bridge closed the connection; were its contracts others than ours?\n");
    return 1;
}

/* Prints a tick; 1 if the frame was one. */
static int print(const myc_frame *frame) {
    struct trade_tick tick;
    myc_fault fault;
    char text[200];
    if (frame->type_id != TRADE_TICK_TYPE_ID) return 0;
    if (trade_tick_decode(&tick, frame->payload, frame->length, &fault)) {
        myc_fault_text(trade_tick_info(), &fault, text, sizeof text);
        fprintf(stderr, "%s\n", text);
        return 0;
    }
    printf("price %" PRIu64 " size %" PRIu64 "\n", trade_tick_price(&tick), trade_tick_size(&tick));
    return 1;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: ticker SOCKET COUNT\n");
        return 2;
    }
    int bus = connected(arguments[1]);
    long ticks = strtol(arguments[2], NULL, 10);
    uint8_t handshake[MYC_HANDSHAKE_SIZE];
    contracts_write_handshake(handshake);
    if (bus < 0 || send_all(bus, handshake, sizeof handshake)) {
        perror(arguments[1]);
        return 1;
    }
    for (long i = 0; i < ticks; i++) {
        struct trade_tick tick;
        uint8_t frame[TRADE_TICK_FRAME_SIZE];
        trade_tick_init(&tick);
        trade_tick_set_price(&tick, UINT64_C(101500) + (uint64_t)i);
        trade_tick_set_size(&tick, 2500);
        if (trade_tick_write_frame(&tick, frame) || send_all(bus, frame, sizeof frame)) return closed();
    }

    static uint8_t buffer[65536]; /* large enough for any message of the example contracts */
    size_t filled = 0;
    for (long seen = 0; seen < ticks;) {
        ssize_t size = recv(bus, buffer + filled, sizeof buffer - filled, 0);
        if (size <= 0) return closed();
        filled += (size_t)size;
        size_t at = 0;
        myc_frame frame;
        int status;
        while ((status = myc_next_frame(buffer + at, filled - at, &frame)) == MYC_OK) {
            seen += print(&frame);
            at += frame.size;
        }
        if (status != MYC_FAULT_PARTIAL || (at == 0 && filled == sizeof buffer)) {
            fprintf(stderr, "a frame of %" PRIu32 " bytes is too long\n", frame.length);
            return 1;
        }
        memmove(buffer, buffer + at, filled - at);
        filled -= at;
    }
    close(bus);
    return 0;
}
