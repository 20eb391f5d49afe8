/* SPDX-License-Identifier: MIT */
#include "codec/car.h"

#include "codec/cbor.h"

/* Nine groups of seven bits: what unsigned-varint allows. */
enum { VARINT_MAX_BYTES = 9 };

static const char *const status_names[N_CAR_STATUS] = {
	[CAR_OK] = "ok",
	[CAR_END] = "end of blocks",
	[CAR_E_TRUNCATED] = "truncated",
	[CAR_E_VARINT] = "bad varint",
	[CAR_E_HEADER] = "bad header",
	[CAR_E_ROOTS] = "no root",
	[CAR_E_CID] = "bad CID",
};

const char *car_status_name(enum car_status status)
{
	return (unsigned)status < N_CAR_STATUS ? status_names[status] : "unknown";
}

/* Reads a section: its varint length, then that many bytes. */
static enum car_status read_section(struct car *car, struct slice *ret_section)
{
	const uint8_t *p = car->p;
	uint64_t n = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		if (shift == 7 * VARINT_MAX_BYTES)
			return CAR_E_VARINT;
		if (p == car->end)
			return CAR_E_TRUNCATED;
		byte = *p++;
		n |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (byte == 0 && shift > 7) /* the last group adds nothing */
		return CAR_E_VARINT;
	if (n > (uint64_t)(car->end - p))
		return CAR_E_TRUNCATED;
	*ret_section = slice_of(p, n);
	car->p = p + n;
	return CAR_OK;
}

/* Reads {roots: [CID, ...], version: 1} from bytes that passed cbor_check. */
static enum car_status read_header(struct slice header, struct cid *ret_root)
{
	struct cbor c = cbor_over(header);
	struct cbor_item item;
	uint64_t n_roots;

	if (cbor_next(&c, &item) || item.type != CBOR_MAP || item.n != 2)
		return CAR_E_HEADER;
	if (cbor_next(&c, &item) || !slice_is(item.s, "roots"))
		return CAR_E_HEADER;
	if (cbor_next(&c, &item) || item.type != CBOR_ARRAY)
		return CAR_E_HEADER;
	n_roots = item.n;
	for (uint64_t i = 0; i < n_roots; i++) {
		struct cid other;

		if (cbor_next(&c, &item) || item.type != CBOR_CID)
			return CAR_E_HEADER;
		if (!cid_from_bytes(item.s, i == 0 ? ret_root : &other))
			return CAR_E_HEADER;
	}
	if (cbor_next(&c, &item) || !slice_is(item.s, "version"))
		return CAR_E_HEADER;
	if (cbor_next(&c, &item) || item.type != CBOR_UINT || item.n != 1)
		return CAR_E_HEADER;
	return n_roots > 0 ? CAR_OK : CAR_E_ROOTS;
}

enum car_status car_open(struct slice bytes, struct arena *scratch, struct car *ret_car)
{
	struct slice header;
	enum car_status r;

	*ret_car = (struct car){.p = bytes.p, .end = slice_end(bytes)};
	r = read_section(ret_car, &header);
	if (r)
		return r;
	if (cbor_check(header, scratch))
		return CAR_E_HEADER;
	return read_header(header, &ret_car->root);
}

enum car_status car_next(struct car *car, struct cid *ret_cid, struct slice *ret_block)
{
	struct car at = *car;
	struct slice section;
	enum car_status r;

	if (at.p == at.end)
		return CAR_END;
	r = read_section(&at, &section);
	if (r)
		return r;
	if (section.n < CID_BYTES || !cid_from_bytes(slice_of(section.p, CID_BYTES), ret_cid))
		return CAR_E_CID;
	*ret_block = slice_of(section.p + CID_BYTES, section.n - CID_BYTES);
	car->p = at.p;
	return CAR_OK;
}
