/* Model P: how a request reaches a thread: poll flag, epoch, blocking and the claim. */
#include "properties.pml"
