/* SPDX-License-Identifier: MIT */
#include "workers/ledger.h"

#include "domain/sql.h"

#include <assert.h>

int ledger_class_id(int class)
{
	assert(class < n_collections || class >= LEDGER_EVENTS);
	return class < LEDGER_EVENTS ? collections[class].id : SQL_CLASS_OF_EVENTS + class - LEDGER_EVENTS;
}

void ledger_receive(struct ledger_pack *p, const struct event *e)
{
	assert(n_collections <= LEDGER_EVENTS);
	p->received[LEDGER_EVENTS + (int)e->kind]++;
	for (uint32_t i = 0; i < e->n_ops; i++)
		p->received[collection_find(e->ops[i].collection)]++;
	for (uint32_t i = 0; i < e->n_filtered_collections; i++)
		p->received[collection_find(e->filtered[i].collection)] += e->filtered[i].n;
}

void ledger_tally_add(struct ledger_tally *a, const struct ledger_tally *b)
{
	for (int c = 0; c < LEDGER_CLASSES; c++)
		for (int o = 0; o < N_LEDGER_OUTCOMES; o++)
			a->n[c][o] += b->n[c][o];
}

static bool occurs(const struct ledger_pack *p, const struct ledger_tally *t, int class)
{
	uint32_t any = p->received[class];

	for (int o = 0; o < N_LEDGER_OUTCOMES; o++)
		any |= t->n[class][o];
	return any;
}

void ledger_put_counts(const struct ledger_pack *p, const struct ledger_tally *t, struct buf *out)
{
	char sep = '{';

	buf_reset(out);
	if (p->n_alone) {
		buf_printf(out, "{{%d,%u,%u,0,0,0,0,0}", SQL_CLASS_OF_EVENTS, p->n_alone, p->n_alone);
		sep = ',';
	}
	for (int c = 0; c < LEDGER_CLASSES; c++) {
		if (!occurs(p, t, c))
			continue;
		buf_printf(out, "%c{%d,%u", sep, ledger_class_id(c), p->received[c]);
		for (int o = 0; o < N_LEDGER_OUTCOMES; o++)
			buf_printf(out, ",%u", t->n[c][o]);
		buf_add_str(out, "}");
		sep = ',';
	}
	buf_add_str(out, sep == '{' ? "{}" : "}");
}
