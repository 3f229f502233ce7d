/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: what an established link's bytes are made of (docs/protocol.md, "Records").
 *
 *    0        2                                2+length
 *    +--------+--------------------------------+-----------+-----------+- - -
 *    | length | sealed: frame, frame, ... | tag | payload   | payload   |
 *    +--------+--------------------------------+-----------+-----------+- - -
 *             '-- 17 .. 65535 bytes -----------'  of the record's carriers, in order
 *
 * Reading opens in place and hands out spans into the read buffer. Writing copies the small frames
 * into one record and leaves the carriers' payloads where they are, for writev.
 */
#ifndef LINK_RECORD_H
#define LINK_RECORD_H

#include "link/sendq.h"
#include "noise/aead.h"

#define RECORD_LENGTH_BYTES 2
#define RECORD_BYTES_MIN (AEAD_TAG_BYTES + 1)
#define RECORD_BYTES_MAX 65535
#define RECORD_PLAIN_MAX (RECORD_BYTES_MAX - AEAD_TAG_BYTES)
#define RECORD_PAYLOAD_MAX                                                                         \
    262144                  /* four of the largest packets: what a reader must have room for */
#define RECORD_SPANS_MAX 64 /* spans in one batch; IOV_MAX is 1,024, a packet 1.4 KiB or more */

/* Why a link cannot go on; what lower parts return to link.c. */
struct link_fault {
    enum weft_err err;
    const char *text;
};

#define INBUF_OTHERS 8

/* The read buffer: one block, kept between reads only while bytes are in it or reads are large.
 * Payloads are lent out of it, and who keeps a slice of one pins the block; then reading goes on in
 * another. At most INBUF_OTHERS blocks of 320 KiB are pinned besides the present one: with so many,
 * nothing is lent, so payloads are copied until some are free again. Likewise while there are more
 * than `pool_bytes_max` of blocks in the pool of all links: what a closed link has lent stays. */
struct inbuf {
    struct frame_pool *pool; /* that blocks count in; NULL: in none */
    size_t pool_bytes_max;
    struct frame *block;
    struct frame *others[INBUF_OTHERS]; /* blocks that were read before: pinned, or to be reused */
    uint8_t *data;                      /* the block's */
    size_t size;
    size_t begin;    /* first byte not consumed */
    size_t end;      /* behind the last byte read */
    size_t offered;  /* what the last inbuf_space gave */
    bool wants_more; /* recent reads filled what they were given */
};

/* Room for at least one more byte and, from `begin`, for `need` bytes in all; NULL without memory.
 * `cap` bounds what is ever buffered. */
uint8_t *inbuf_space(struct inbuf *in, size_t need, size_t cap, size_t *len);
/* Makes the buffer begin with `first` and behind it `second`, both in it and in this order, with
 * room for `size` bytes in all. False without memory. */
bool inbuf_gather(struct inbuf *in, struct span first, struct span second, size_t size);
/* Bytes of the buffer as a loan, which can be kept unless too many blocks are pinned. */
struct loan inbuf_lend(const struct inbuf *in, struct span bytes);
void inbuf_done(struct inbuf *in, size_t len);
/* Gives an empty buffer back: at once if small, else only when `is_idle`. */
void inbuf_relax(struct inbuf *in, bool is_idle);
void inbuf_fini(struct inbuf *in);

static inline struct span inbuf_view(const struct inbuf *in) {
    if (in->data == NULL) {
        return span_of(NULL, 0);
    }
    return span_of(in->data + in->begin, in->end - in->begin);
}

struct record_reader {
    struct aead *aead;
    uint64_t counter;
    uint64_t total;    /* records opened, under all keys */
    bool is_open;      /* a record is open and not all handed out; all offsets are in the inbuf */
    size_t frames_at;  /* the frames not handed out yet ... */
    size_t frames_end; /* ... and their end */
    size_t payload_at; /* the next carrier's payload */
    size_t payload_total; /* of this record's carriers so far */
    bool has_part;        /* the beginning of a frame or record waits for its rest ... */
    weft_ns part_at;      /* ... since then */
};

enum record_result {
    RECORD_WAIT,  /* more bytes are needed */
    RECORD_FRAME, /* *out is a frame, *payload its payload if it is a carrier */
    RECORD_FAULT, /* *fault says what */
};

/* Takes the next frame; both spans are borrowed until bytes are read into `in` again. */
enum record_result record_read(struct record_reader *reader, struct inbuf *in,
                               struct wire_frame *out, struct loan *payload,
                               struct link_fault *fault);

/* All that came was taken: notes since when a part waits, if one does. */
void record_reader_wait(struct record_reader *reader, const struct inbuf *in, weft_ns now);

/* When a part that waits has waited too long: 15 s, in which 64 KB come at 35 kbit/s. A length that
 * was changed on the way promises what never comes; what does come it swallows, heartbeats too,
 * which would keep the link alive for minutes. WEFT_NEVER: none waits. */
weft_ns record_due(const struct record_reader *reader);

/* Where to read into: room for the whole of what record_read waits for. */
uint8_t *record_read_space(struct record_reader *reader, struct inbuf *in, size_t *len);

/* Whether no frame is left in the record that is open: the frame just read was its last. */
static inline bool record_is_drained(const struct record_reader *reader) {
    return reader->frames_at == reader->frames_end;
}

struct record_piece {
    const uint8_t *data;
    size_t len;
    struct frame *payload; /* our reference; NULL for sealed bytes */
};

/* One sealed record and its payloads, being written. */
struct record_batch {
    struct frame *place; /* that it lies in */
    size_t piece_count;
    size_t piece_first; /* the first not written whole ... */
    size_t piece_done;  /* ... and how much of it was */
    struct record_piece pieces[RECORD_SPANS_MAX];
    size_t size;
    uint8_t data[];
};

struct record_writer {
    struct aead *aead;
    uint64_t counter;
    struct frame_pool *pool;    /* where batches come from; NULL: the heap */
    struct record_batch *batch; /* NULL when nothing was sealed lately */
    size_t budget;              /* payload bytes one record may bind: what a write takes */
    bool is_split;              /* the batch was not written at one go */
};

void record_writer_init(struct record_writer *writer);

static inline bool record_is_pending(const struct record_writer *writer) {
    return writer->batch != NULL && writer->batch->piece_first < writer->batch->piece_count;
}

/* Seals one record of what goes next, and `last` (may be empty) as its last frame. Nothing may be
 * pending. Returns how many frames it holds; 0 when out of memory. */
size_t record_seal(struct record_writer *writer, struct sendq *queue, struct span last,
                   weft_ns now);

/* What is pending, as up to `max` spans. */
size_t record_spans(const struct record_writer *writer, struct span *out, size_t max);
void record_written(struct record_writer *writer, size_t len);

/* Gives the batch back if nothing is pending. */
void record_writer_relax(struct record_writer *writer);
void record_writer_fini(struct record_writer *writer);
void record_reader_fini(struct record_reader *reader);

#endif
