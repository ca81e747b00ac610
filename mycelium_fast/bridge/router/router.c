/* The router, see router.h: one translation unit, so that nothing but its API has a name outside.
 *
 *     state.h          what there is: router, connections, and who may touch what
 *     events.c         what the control plane is told
 *     output.c         bytes for a connection, until the kernel has them
 *     slow.c           connections that are too slow: frames left out, senders held
 *     subscriptions.c  who gets which types
 *     passing.c        runs of frames to those who get them
 *     limits.c         connections that send too much
 *     input.c          bytes from a connection, into runs of frames
 *     commands.c       what the control plane says, in the router's thread
 *     loop.c           rounds: waiting for sockets, and what comes to an end
 *     control.c        ... and the functions that the control plane calls
 *
 * A file uses those above it; the few calls the other way are declared in state.h.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "state.h"

#include "events.c"
#include "output.c"
#include "slow.c"
#include "subscriptions.c"
#include "passing.c"
#include "limits.c"
#include "input.c"
#include "commands.c"
#include "loop.c"
#include "control.c"
