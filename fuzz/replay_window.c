
/*
 * Copyright (C) ngx_http_mcp_sse_module authors
 *
 * The replay window of a sender, compared with a list of all numbers that were
 * ever entered: no number is new twice.
 *
 * Input: steps of 4 bytes: what, number 2, time.  The clock overflows at 128.
 */

#include "fuzz.h"
#include "ngx_mcp_replay_window.h"


#define REPLAY_WINDOW_MAX  512     /* steps */


typedef struct {
    uint64_t      number;
    ngx_msec_t    expires;
    ngx_uint_t    ack;
} replay_window_seen_t;


static void replay_window_enter(uint64_t number, ngx_msec_t expires);
static void replay_window_expire(ngx_msec_t now);
static void replay_window_clear(void);
static replay_window_seen_t *replay_window_find(uint64_t number);


/* the model: numbers in the order of arrival; those before "first" expired */

static replay_window_seen_t  replay_window_list[
                                                     REPLAY_WINDOW_MAX];
static ngx_uint_t  replay_window_first;
static ngx_uint_t  replay_window_n;

static ngx_mcp_replay_window_t  replay_window;

static fuzz_input_t  replay_window_in;


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t       number;
    ngx_msec_t     time;
    ngx_uint_t     step, what;
    fuzz_input_t  *in;

    fuzz_begin(&replay_window_in, data, size);

    replay_window_first = 0;
    replay_window_n = 0;
    ngx_mcp_replay_window_init(&replay_window);

    in = &replay_window_in;

    for (step = 0; step < REPLAY_WINDOW_MAX && in->pos < in->last; step++) {
        what = fuzz_number(in, 255);
        number = fuzz_number(in, 0xffff);
        time = (ngx_msec_t) fuzz_number(in, 255) - 128;

        if (what % 4 == 0) {
            replay_window_expire(time);
            continue;
        }

        /* also numbers at the end of the range */

        number = (what & 0x80) ? UINT64_MAX - number : number;

        replay_window_enter(number, time);
    }

    replay_window_clear();

    fuzz_end(&replay_window_in);

    return 0;
}


static void
replay_window_enter(uint64_t number, ngx_msec_t expires)
{
    ngx_int_t                       rc;
    replay_window_seen_t      *known;
    ngx_mcp_replay_window_entry_t  *seen;

    seen = NULL;
    known = replay_window_find(number);

    fuzz_check(known == NULL
               || ngx_mcp_replay_window_find(&replay_window, number) != NULL
               || number <= replay_window.floor,
               "a number is known until it expires");

    rc = ngx_mcp_replay_window_enter(&replay_window, number, expires,
                                     &seen, replay_window_in.log);

    switch (rc) {

    case NGX_OK:
        fuzz_check(known == NULL, "a number is new once");
        fuzz_check(seen->ack == 0, "a new number has no acknowledgement");

        known = &replay_window_list[replay_window_n++];
        known->number = number;
        known->expires = expires;
        known->ack = replay_window_n;

        seen->ack = known->ack;
        break;

    case NGX_DONE:
        fuzz_check(known && seen->ack == known->ack,
                   "a repeated number has its acknowledgement");
        break;

    default:
        fuzz_check(rc == NGX_DECLINED && number <= replay_window.floor,
                   "numbers above the floor are not refused");
    }
}


static void
replay_window_expire(ngx_msec_t now)
{
    uint64_t                    floor;
    replay_window_seen_t  *list;

    list = replay_window_list;
    floor = replay_window.floor;

    while (replay_window_first < replay_window_n
           && (ngx_msec_int_t) (list[replay_window_first].expires - now) <= 0)
    {
        floor = ngx_max(floor, list[replay_window_first].number);
        replay_window_first++;
    }

    ngx_mcp_replay_window_expire(&replay_window, now);

    fuzz_check(replay_window.floor == floor,
               "the floor is the largest number that has expired");
}


static void
replay_window_clear(void)
{
    uint64_t  floor;

    floor = replay_window.floor;

    while (replay_window_first < replay_window_n) {
        floor = ngx_max(floor, replay_window_list[replay_window_first].number);
        replay_window_first++;
    }

    ngx_mcp_replay_window_clear(&replay_window);

    fuzz_check(ngx_queue_empty(&replay_window.order)
               && replay_window.seen.root == replay_window.seen.sentinel,
               "all entries are removed");
    fuzz_check(replay_window.floor == floor, "and all numbers are refused");
}


static replay_window_seen_t *
replay_window_find(uint64_t number)
{
    ngx_uint_t  i;

    for (i = 0; i < replay_window_n; i++) {

        if (replay_window_list[i].number == number) {
            return &replay_window_list[i];
        }
    }

    return NULL;
}
