/* The least that a broker can do, which the bridge is measured against: whatever a publisher sends is written to each
 * subscriber. One thread, blocking calls, and not a byte is looked at.
 *
 * Who connects says who it is by one byte, and gets it back: 'S', a subscriber, or 'P', the publisher. The publisher's
 * end is that of its subscribers as well; others come then.
 */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "sockets.h"

enum { READ_SIZE = 256 * 1024, MOST = 64 };

static void serve(int publisher, const int *subscribers, int count)
{
    static uint8_t block[READ_SIZE];
    ssize_t size;
    while ((size = recv(publisher, block, READ_SIZE, 0)) > 0)
        for (int each = 0; each < count; each++)
            write_all(subscribers[each], block, (size_t)size); /* who has left gets nothing */
}

/* Serve for ever, unless it fails: gives a negative errno. Buffers of the system for writing have `buffer` bytes, or as
 * many as it likes. */
int64_t to_each(int listener, int buffer)
{
    int subscribers[MOST], count = 0;
    for (;;) {
        uint8_t role = 0;
        int peer = accept(listener, NULL, NULL);
        if (peer < 0)
            return -errno;
        if (buffer > 0)
            setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)); /* (of a Unix socket it is refused) */
        if (recv(peer, &role, 1, 0) != 1 || write_all(peer, &role, 1) != 0 || (role == 'S' && count == MOST)) {
            close(peer);
        } else if (role == 'S') {
            subscribers[count++] = peer;
        } else {
            serve(peer, subscribers, count);
            close(peer);
            while (count > 0)
                close(subscribers[--count]);
        }
    }
}
