// Figures that the fake image (FakeImage.c), its linker script and the test artifacts share.
#pragma once

#define FAKE_VOCABULARY 4096
#define FAKE_BLOCKS (FAKE_VOCABULARY / 256)
#define FAKE_WEIGHTS_MAGIC 0x57384B47
#define FAKE_TABLE_ROW_BYTES 48
#define FAKE_ARENA_BYTES 100000
#define FAKE_PREFILL_ROWS 16
#define FAKE_SCORE_ROWS 8
// Offsets in the image: FakeImage.ld.
#define FAKE_PREFILL_OFFSET 0x0
#define FAKE_DECODE_OFFSET 0x400
#define FAKE_SCORE_OFFSET 0x800
