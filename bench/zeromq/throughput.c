/* ZeroMQ's throughput as its users see it: its own library, one socket at each end, messages of one size.
 *
 *   throughput take ENDPOINT OCTETS SECONDS    binds; says "ready"; prints messages a second of that time
 *   throughput give ENDPOINT OCTETS            connects; sends until it is ended
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

/* What comes before the clock starts: connections open their windows. */
#define WARM_UP 0.2

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void must(int is_well, const char *what) {
    if (!is_well) {
        fprintf(stderr, "%s: %s\n", what, zmq_strerror(zmq_errno()));
        exit(1);
    }
}

/* Takes messages for so long; how many a second. The clock is read every so often only. */
static double take(void *socket, size_t octets, double seconds) {
    const unsigned stride = octets < 4096 ? 64 : 1;
    const double start = now();
    unsigned long count = 0;
    double passed;
    zmq_msg_t message;
    zmq_msg_init(&message);
    do {
        for (unsigned i = 0; i < stride; i++) {
            must(zmq_msg_recv(&message, socket, 0) >= 0, "receive");
            if (zmq_msg_size(&message) != octets) {
                fprintf(stderr, "a message of another size\n");
                exit(1);
            }
        }
        count += stride;
        passed = now() - start;
    } while (passed < seconds);
    zmq_msg_close(&message);
    return (double)count / passed;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "throughput take ENDPOINT OCTETS SECONDS | give ENDPOINT OCTETS\n");
        return 2;
    }
    const size_t octets = strtoul(argv[3], NULL, 10);
    void *context = zmq_ctx_new();
    if (strcmp(argv[1], "give") == 0) {
        void *socket = zmq_socket(context, ZMQ_PUSH);
        must(zmq_connect(socket, argv[2]) == 0, "connect");
        /* Noise, so that who compresses gains nothing here. */
        unsigned char *noise = malloc(octets + 1);
        must(noise != NULL, "memory");
        unsigned state = 1;
        for (size_t i = 0; i < octets; i++) noise[i] = (unsigned char)((state = state * 1664525u + 1013904223u) >> 24);
        for (;;) {
            zmq_msg_t message;
            must(zmq_msg_init_size(&message, octets) == 0, "message");
            memcpy(zmq_msg_data(&message), noise, octets);
            must(zmq_msg_send(&message, socket, 0) >= 0, "send");
        }
    }
    if (argc < 5) return 2;
    void *socket = zmq_socket(context, ZMQ_PULL);
    must(zmq_bind(socket, argv[2]) == 0, "bind");
    printf("ready\n");
    fflush(stdout);
    take(socket, octets, WARM_UP);
    printf("%.1f\n", take(socket, octets, atof(argv[4])));
    fflush(stdout);
    /* The sender goes on; a tidy end would wait for it. */
    _Exit(0);
}
