/* How containers share a sensor: members, the sensor's lease, and time. Spin explores everything that can happen.

A member is a container. Each option of its loop is one step, and nothing makes it take one: it may be paused before each,
for any time. What it sends for the lease is on its way until the network hands it to the server or loses it, and outlives
its sender. Clocks count what is left or has passed, so that time has no end and there are finitely many states; lives,
fences, batches and requests on their way at once are bounded.

PAUSES lets a member's boot clock stand still, as where a hypervisor has paused its machine; the wall clock is right when
it goes on. TWINS starts two members with one memory, as where a machine was cloned.

Each switch takes one rule away, and then an assertion must fail: NO_JUMP (with PAUSES), NO_RENEWAL_CAS (with TWINS),
NO_FENCE, ANY_FENCE, DEADLINE_AFTER, NO_MARGIN,
NO_EVICT_CAS, NO_TAKE_CAS, NO_RELEASE_FENCE, TAKE_BACK, NO_BATCH_FENCE, NO_BATCH_COUNT, SAME_VALUES.
REACH_TAKEOVER and REACH_BATCH assert that what the model is about does not happen: these must fail, too. */

#ifndef N
#define N 2         /* members */
#endif
#ifndef LIVES
#define LIVES 3     /* that they have in all: each has its id */
#endif
#ifndef FENCES
#define FENCES 3    /* times that the lease is taken */
#endif
#ifndef BATCHES
#define BATCHES 0   /* that are stored; 0 is a sensor that dispatches, and has no cursor */
#endif

/* KEEPS: nobody releases the lease. PROMPT: member 1 lives on, and is never paused. */

#define TERM 2      /* ticks that a renewal is good for */
#define FAST 1      /* ticks that the clock of who waits for a member to fall silent may run ahead meanwhile */
#ifdef NO_MARGIN
#define MARGIN 0
#else
#define MARGIN FAST
#endif
#define SILENCE (TERM + MARGIN)
#ifdef PROMPT
#define LONGEST SILENCE
#else
#define LONGEST (SILENCE - FAST)
#endif

#define NOBODY 255

mtype = { NOTHING, SENT, DONE }

/* The lease: who holds it, how often it was taken, the unfinished batch, and how many have been stored. */
byte holder = NOBODY, fence, batch, stored;

/* The entry of the datastore: the number of the last batch that has been carried out. */
byte cursor;

/* The documents of the members, by id. */
byte joined;
bool dead[LIVES];

/* By member: its id, the ticks until its deadline, and until the one that the answer to its renewal will bring. */
byte life[N] = NOBODY, left[N], promised[N];
#define ME life[m]

/* By member: whose counter it observes, one at a time, for how long it has not changed since it was read, and whether it
has. A counter is compared with what was read of it, and with nothing else: so its number does not matter. */
byte watched[N] = NOBODY, silent[N];
bool changed[N];

#ifdef PAUSES
/* By member: whether its wall clock is ahead of its boot clock since its last renewal, and since it has asked for another. */
bool jumped[N], jumps[N];
#endif

#ifdef TWINS
/* By member: whether another one has renewed under its id since it has itself, and whether it has. */
bool overtaken[N], renewed[N];
#endif

/* A release and a batch on their way. Whoever sends another, with the first being lost, replaces it. */
byte released = NOBODY, released_fence;
byte sent_number, sent_fence;

#ifdef PROMPT
bool waiting;       /* member 1 has nothing to do before the next tick */
byte vacant;        /* ticks since the lease is nobody's, or that of a life which is over */
#endif

#ifdef PROMPT
#define OBSERVABLE(i) ((i) != ME && (i) != watched[m] && (i) == holder && !dead[i])
#else
#define OBSERVABLE(i) ((i) != ME && (i) != watched[m] && (i) < joined && !dead[i])
#endif

#if defined PAUSES && !defined NO_JUMP
#define HOLDS (mine && !giving && left[m] && !jumped[m])
#else
#define HOLDS (mine && !giving && left[m])
#endif
#define FREE ((holder == NOBODY || dead[holder]) && fence < FENCES)

#if defined NO_FENCE
#define ACCEPTED true
#elif defined ANY_FENCE
#define ACCEPTED HOLDS
#else
#define ACCEPTED (HOLDS && mine == under)
#endif

#ifdef NO_EVICT_CAS
#define EVICTS true
#else
#define EVICTS (!changed[m])
#endif

#ifdef NO_TAKE_CAS
#define TAKES (fence < FENCES)
#else
#define TAKES (FREE && fence == asked - 1)
#endif

#ifdef NO_RELEASE_FENCE
#define RELEASES (holder == released)
#else
#define RELEASES (holder == released && fence == released_fence)
#endif

#if defined NO_BATCH_FENCE
#define STORES (!batch && stored == sent_number - 1)
#elif defined NO_BATCH_COUNT
#define STORES (!batch && fence == sent_fence)
#else
#define STORES (!batch && stored == sent_number - 1 && fence == sent_fence)
#endif

#if defined TWINS && !defined NO_RENEWAL_CAS
#define RENEWS (!dead[ME] && !overtaken[m])
#else
#define RENEWS (!dead[ME])
#endif

/* What the cursor's values are like: all different, or such that come again. */
#ifdef SAME_VALUES
#define VALUE(number) ((number) % 2)
#else
#define VALUE(number) (number)
#endif

/* A new id; it has no deadline before its first renewal. */
inline join() {
    if
    :: joined < LIVES -> ME = joined; joined++
    :: else -> ME = NOBODY
    fi;
    left[m] = 0; promised[m] = 0; watched[m] = NOBODY; silent[m] = 0; changed[m] = false;
#ifdef PAUSES
    jumped[m] = false; jumps[m] = false;
#endif
#ifdef TWINS
    overtaken[m] = false; renewed[m] = false;
#endif
    renewing = NOTHING; suspects = false; asked = 0; mine = 0; giving = false; number = 0; set = false
}

proctype Member(byte m) {
    mtype renewing = NOTHING;
    bool suspects;
    byte asked;     /* fence that it would hold the lease under, when it has asked for it */
    byte mine;      /* fence under which it holds the lease, as it was read back */
    bool giving;    /* it has begun to release that */
    byte under;     /* fence of the dispatch that it has committed, but not checked again */
    byte number;    /* of the batch that it has to carry out */
    bool set;       /* the cursor is set for that */
    byte i;

    do
    /* It is killed, forgets all, and starts again. */
#ifdef PROMPT
    :: d_step { ME != NOBODY && m != 1 -> join(); under = 0 }
#else
    :: d_step { ME != NOBODY -> join(); under = 0 }
#endif

    /* It renews; the deadline counts from before the request. When no answer comes, it tries again. */
    :: d_step { ME != NOBODY ->
#ifdef PAUSES
        jumps[m] = false;
#endif
        renewing = SENT; promised[m] = TERM }
    :: d_step { renewing == SENT ->
        if
        :: !RENEWS ->
            /* It holds nothing any more. A dispatch under way goes on. */
            join()
        :: else ->
            renewing = DONE;
#ifdef TWINS
            renewed[m] = true;
            assert(!(renewed[0] && renewed[1] && life[0] == life[1]));
#endif
            for (i : 0 .. N - 1) {
#ifdef TWINS
                overtaken[i] = overtaken[i] || (i != m && life[i] == ME);
#endif
                if
                :: watched[i] == ME -> changed[i] = true; silent[i] = 0
                :: else
                fi
            }
            i = 0
        fi }
    :: d_step { renewing == DONE ->
        renewing = NOTHING;
#ifdef DEADLINE_AFTER
        left[m] = TERM;
#else
        left[m] = promised[m];
#endif
#ifdef PAUSES
        jumped[m] = jumps[m];
#endif
        promised[m] = 0 }

    /* It reads the counters. */
    :: d_step { watched[m] != NOBODY && changed[m] && !suspects -> changed[m] = false }
    :: atomic { ME != NOBODY && !suspects ->
        select(i : 0 .. LIVES - 1);
        if
        :: OBSERVABLE(i) -> watched[m] = i; silent[m] = 0; changed[m] = false
        :: else
        fi;
        i = 0 }

    /* It finds one silent by its own clock, and evicts it a step later. */
    :: d_step { watched[m] != NOBODY && silent[m] >= SILENCE - FAST && !suspects -> suspects = true }
    :: d_step { suspects ->
        if
        :: EVICTS ->
            dead[watched[m]] = true;
            watched[m] = NOBODY; silent[m] = 0; changed[m] = false
        :: else
        fi;
        suspects = false }

    /* It asks for a lease that is free. */
    :: d_step { ME != NOBODY && FREE && asked != fence + 1 -> asked = fence + 1 }
    :: d_step { asked ->
        if
        :: TAKES ->
#ifdef PROMPT
            vacant = 0;
#endif
            holder = ME; fence++
        :: else
        fi;
        asked = 0 }

    /* It reads back that it has the lease, and the batch that it has to carry out before it starts. */
    :: d_step { ME != NOBODY && holder == ME && fence != mine ->
#ifdef REACH_BATCH
        assert(!batch);
#endif
        assert(fence > mine);
        mine = fence; giving = false; number = batch; set = false }
    :: d_step { ME != NOBODY && holder == ME && fence == mine && !giving && batch && !number -> number = batch }

#ifndef KEEPS
    /* It releases the lease; as often as it takes. */
    :: d_step { mine && holder == ME && (released != ME || released_fence != mine || !giving) ->
        released = ME; released_fence = mine;
#ifdef TAKE_BACK
        mine = 0;
#else
        giving = true;
#endif
        number = 0; set = false }
#endif

#if BATCHES
    /* It stores a batch of the events that follow the cursor. */
    :: d_step { HOLDS && !number && cursor < BATCHES ->
        sent_fence = mine; sent_number = cursor + 1 }

    /* It carries out a batch: it sets the cursor, and then removes the batch. Both wait for as long as they like. */
    :: d_step { number && !set ->
        if
        :: VALUE(cursor) == VALUE(number - 1) ->
            assert(number == cursor + 1);
            cursor = number
        :: else
        fi;
        set = true }
    :: d_step { set -> batch = (batch == number -> 0 : batch); number = 0; set = false }
#else
    /* It dispatches: it checks and commits to the outbox, and checks again. Only then is the dispatch accepted:
    otherwise, and when it is killed before, what is in the outbox is late. */
    :: d_step { HOLDS && !under -> under = mine }
    :: d_step { under ->
        if
        :: ACCEPTED ->
#ifdef REACH_TAKEOVER
            assert(under == 1 || !dead[0]);
#endif
            assert(under == fence)
        :: else
        fi;
        under = 0 }
#endif

#ifdef PROMPT
    /* Member 1 has renewed, has read everything, and waits for nobody. */
    :: d_step { m == 1 && !waiting && left[m] == TERM && !suspects && !changed[m] && silent[m] < SILENCE && !asked && !FREE &&
            (holder >= joined || holder == ME || holder == watched[m]) -> waiting = true }
#endif
    od
}

/* It delivers what was sent, at any time and as often as it likes. The conditions are those of the database's updates. */
proctype Network() {
    do
    :: d_step { released != NOBODY && RELEASES -> holder = NOBODY }
    :: d_step { sent_number && STORES ->
        assert(sent_fence == fence && sent_number == stored + 1);
        batch = sent_number; stored++ }
    od
}

proctype Clock() {
    byte i;
#ifdef PAUSES
    byte paused;
#endif

    do
    :: d_step {
#ifdef PROMPT
        waiting -> waiting = false;
        vacant = (holder != NOBODY && (holder == life[0] || holder == life[1]) -> 0 : vacant + 1);
        assert(vacant <= SILENCE + 1 || fence == FENCES);
#endif
        for (i : 0 .. N - 1) {
            left[i] = left[i] - (left[i] > 0);
            promised[i] = promised[i] - (promised[i] > 0);
            silent[i] = silent[i] + (watched[i] != NOBODY && !changed[i] && silent[i] < LONGEST)
        }
        i = 0 }
#ifdef PAUSES
    /* Time passes for all but one, which counts it by its wall clock alone. */
    :: atomic {
        select(paused : 0 .. N - 1);
        d_step {
            for (i : 0 .. N - 1) {
                if
                :: i == paused -> jumped[i] = (life[i] != NOBODY); jumps[i] = jumped[i]
                :: else ->
                    left[i] = left[i] - (left[i] > 0);
                    promised[i] = promised[i] - (promised[i] > 0);
                    silent[i] = silent[i] + (watched[i] != NOBODY && !changed[i] && silent[i] < LONGEST)
                fi
            }
            i = 0; paused = 0 } }
#endif
    od
}

init {
    byte i;

    atomic {
#ifdef TWINS
        for (i : 0 .. N - 1) { life[i] = (i < 2 -> 0 : i - 1); run Member(i) }
        joined = N - 1;
#else
        for (i : 0 .. N - 1) { life[i] = i; run Member(i) }
        joined = N;
#endif
        run Network(); run Clock()
    }
}
