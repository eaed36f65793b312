// runtime/hexagon/Builtins.c for this machine, under names that clash with nothing, so that it can
// be compared with this machine's own arithmetic.
#define memcpy gc_memcpy
#define memmove gc_memmove
#define memset gc_memset
#define sqrtf gc_sqrtf
#define floorf gc_floorf
#define roundevenf gc_roundevenf
#define fma gc_fma
#define __extendhfsf2 gc_extendhfsf2
#define __truncsfhf2 gc_truncsfhf2
#define __gnu_h2f_ieee gc_h2f_ieee
#define __gnu_f2h_ieee gc_f2h_ieee
#include "runtime/hexagon/Builtins.c"
