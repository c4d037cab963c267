/* Model B: spans, their owners and sweep generations, over two cycles. Marking is an oracle. */
#include "properties.pml"
