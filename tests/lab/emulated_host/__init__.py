"""A Debian host with real KVM, made of QEMU's software emulation of an AMD CPU with SVM."""
