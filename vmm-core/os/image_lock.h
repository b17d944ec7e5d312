// Who uses an image: locks of its open file description (fcntl(2), "Open file description locks").
//
// They last as long as somebody has that description open, whatever becomes of who took them: the daemon
// locks what it hands to a worker. Who writes has the whole file for itself; who reads shares it with
// readers; who writes and shares shares it with all that share, and with nobody else. Those that are not
// alone lock the bytes that QEMU's processes lock in their images, so that they and ours keep out of each
// other's way too.
//
// Any thread. All of them answer 0, or an errno: EAGAIN when somebody else is in the way. A file system
// without locks cannot protect an image, and that is no error: it would make the image unusable.
#pragma once

namespace warren::vmm {

struct ImageUse {
  bool writes = false;  // the file is open for writing
  bool shares = false;
};
int lock_image(int file, ImageUse use) noexcept;
// Before the last user closes it: a ring that is taken down keeps its files open until the kernel gets to it,
// and the locks with them.
void unlock_image(int file) noexcept;

// From the only user, or a reader, of an image to who keeps users like us away and leaves what QEMU locks to
// a program that is going to use it.
int stand_aside(int file) noexcept;

// An image that one process reads, as `reader`, and is going to write, as `writer`: two descriptions that
// would be in each other's way. Keeps new writers out, and leaves the readers' bytes alone.
int reserve_for_writing(int writer) noexcept;
// Then: from a reader to the only user of the image. When others read it too, all is as it was before.
int take_over(int reader, int writer) noexcept;
// And back: `writer` is to be closed next. Nobody else can write in between; when it fails
// the image is still the writer's.
int give_back(int writer, int reader) noexcept;

}  // namespace warren::vmm
