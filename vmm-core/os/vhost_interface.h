// The kernel's vhost interface (linux/vhost.h), whose header draws in functions for the rings of before
// virtio 1 that are no C++ unless they are left out.
#pragma once

#ifndef VIRTIO_RING_NO_LEGACY
#define VIRTIO_RING_NO_LEGACY
#endif
#include <linux/vhost.h>
