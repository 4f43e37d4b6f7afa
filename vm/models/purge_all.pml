/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A model of ASHMEM_PURGE_ALL_CACHES, as in Reclaim::purge_all(). Meanwhile a program pins
 * and unpins forever, which splits and joins ranges, and memory reclaim purges forever.
 *
 *   - When the call returns, all pages are purged that were unpinned when it began and were
 *     not pinned since.
 *   - The call returns.
 *   - No page is pinned while it is purged.
 *
 * model_test.sh checks the model, also with the faults that are behind #ifdef.
 */

#ifndef REGIONS
#define REGIONS	1
#define PAGES	3
#endif

/* The range of a page: its first page from 1 on, or 0 for a pinned page. */
typedef region {
	byte range[PAGES];
	bool purgeable[PAGES];	/* the same for all pages of a range, as purging */
	byte purging[PAGES];	/* by whom */
	bool old[PAGES];	/* unpinned since before the call */
};

#define NOBODY	0
#define CALLER	1
#define RECLAIM	2

region regions[REGIONS];
bool awaited;	/* whether the purge for which the caller waits is under way */
bool done;

/* Makes the pages from FROM to TO one range. Part of a step. */
inline set_range(R, FROM, TO, FIRST, CAN, BY) {
	i = FROM;
	do
	:: i <= TO ->
		regions[R].range[i] = FIRST;
		regions[R].purgeable[i] = CAN;
		regions[R].purging[i] = BY;
		i++
	:: else -> break
	od
}

/* Sets first and last to the first and the last page of a page's range. */
inline find_range(R, PAGE) {
	first = regions[R].range[PAGE] - 1;
	last = PAGE;
	do
	:: last + 1 < PAGES && regions[R].range[last + 1] == first + 1 -> last++
	:: else -> break
	od
}

/* Sets busy to whether one of the pages is being purged. */
inline look(R, FROM, TO) {
	busy = false;
	i = FROM;
	do
	:: i <= TO -> busy = busy || regions[R].purging[i]; i++
	:: else -> break
	od
}

/* UNPIN, unless it has to wait. */
inline unpin(R, S, E) {
	d_step {
		look(R, S, E);
		if
		:: busy
		:: !busy && regions[R].range[S] && regions[R].range[S] == regions[R].range[E]
		:: else ->
			/* The hull of all overlapping ranges. */
			from = S;
			to = E;
			if
			:: regions[R].range[S] -> from = regions[R].range[S] - 1
			:: else
			fi;
			if
			:: regions[R].range[E] -> find_range(R, E); to = last
			:: else
			fi;
			set_range(R, from, to, from + 1, true, NOBODY)
		fi;
		from = 0; to = 0; first = 0; last = 0; i = 0; busy = false
	}
}

/* PIN of a page, unless it has to wait. */
inline pin(R, P) {
	d_step {
		if
		:: regions[R].range[P] && !regions[R].purging[P] ->
			find_range(R, P);
			if
			:: P < last ->
				set_range(R, P + 1, last, P + 2, regions[R].purgeable[P], NOBODY)
			:: else
			fi;
			set_range(R, P, P, 0, false, NOBODY);
			regions[R].old[P] = false
		:: else
		fi;
		first = 0; last = 0; i = 0
	}
}

active proctype program() {
	byte r, s, e, i, from, to, first, last;
	bool busy;

	do
	:: atomic {
		select(r : 0 .. REGIONS - 1);
		select(s : 0 .. PAGES - 1);
		select(e : 0 .. PAGES - 1);
		if
		:: s <= e -> unpin(r, s, e)
		:: else -> pin(r, s)
		fi;
		r = 0; s = 0; e = 0
	   }
	od
}

/* Begins to purge the range of a page. Part of a step. */
inline begin_purge(R, PAGE, BY) {
	find_range(R, PAGE);
	set_range(R, first, last, first + 1, false, BY)
}

/* Ends the purge of the range of a page. */
inline end_purge(R, PAGE) {
	d_step {
		assert(regions[R].purging[PAGE]);
		if
		:: regions[R].purging[PAGE] == RECLAIM -> awaited = false
		:: else
		fi;
		find_range(R, PAGE);
		i = first;
		do
		:: i <= last -> regions[R].old[i] = false; regions[R].purging[i] = NOBODY; i++
		:: else -> break
		od;
		first = 0; last = 0; i = 0
	}
}

active proctype reclaim() {
	byte r, page, i, first, last;
	bool begun;

	do
	:: atomic {
		select(r : 0 .. REGIONS - 1);
		select(page : 0 .. PAGES - 1);
		if
		:: regions[r].purgeable[page] -> begin_purge(r, page, RECLAIM); begun = true
		:: else -> begun = false
		fi;
		first = 0; last = 0; i = 0
	   }
	   if
	   :: begun -> end_purge(r, page)
	   :: else
	   fi;
	   begun = false; r = 0; page = 0
	od
}

/* The states that the caller finds. */
#define NOTHING		0
#define PURGEABLE	1
#define PURGING		2

active proctype caller() {
	byte r, next, page, i, first, last, found;
	bool over;

	/* The call begins: pages that are unpinned now must be purged. */
	d_step {
		r = 0;
		do
		:: r < REGIONS ->
			page = 0;
			do
			:: page < PAGES ->
				regions[r].old[page] = regions[r].range[page] != 0 &&
					(regions[r].purgeable[page] || regions[r].purging[page]);
				page++
			:: else -> break
			od;
			r++
		:: else -> break
		od;
		r = 0; page = 0
	}
	do
	:: r < REGIONS ->
		next = 0;
		do
		:: next < PAGES ->
			d_step {
				/* Finds the next range that is purgeable or being purged. */
				found = NOTHING;
				page = next;
				do
				:: page < PAGES && regions[r].purgeable[page] ->
					found = PURGEABLE; break
				:: page < PAGES && !regions[r].purgeable[page] && regions[r].purging[page] ->
					found = PURGING; break
				:: page < PAGES && !regions[r].purgeable[page] && !regions[r].purging[page] ->
					page++
				:: page == PAGES -> break
				od;
				if
				:: found == PURGEABLE -> begin_purge(r, page, CALLER)
#ifndef GO_ON_PAST_IT
					; next = last + 1
#else
					; next = last + 2
#endif
				:: found == PURGING -> find_range(r, page); next = last + 1; awaited = true
				:: else -> next = PAGES
				fi;
				first = 0; last = 0; i = 0
			}
			if
			:: found == PURGEABLE -> end_purge(r, page)
			:: found == PURGING ->
#ifndef DO_NOT_WAIT
				!awaited
#else
				awaited = false
#endif
			:: else
			fi;
			found = NOTHING; page = 0
		:: else -> break
		od;
		r++
	:: else -> break
	od;
	skip;
	d_step {
		r = 0;
		do
		:: r < REGIONS ->
			page = 0;
			do
			:: page < PAGES -> assert(!regions[r].old[page]); page++
			:: else -> break
			od;
			r++
		:: else -> break
		od
	}
	done = true
}

ltl returns { <> done }
