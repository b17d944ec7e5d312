// Tests of the drivers.
#include "precompiled/asio.h"
#include "precompiled/test.h"
