//! The guest's allocator: the standard library's, which begins with memory that an instance has from
//! its start.
//!
//! The standard library's own begins with growing the memory. For the host that is a system call on
//! every run that allocates anything, another one to take the page back, and an interruption of the
//! other cores for each. Turn the feature `heap` off to use an allocator of your own.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout};
use std::cell::{Cell, UnsafeCell};
use std::ptr;

use dlmalloc::{Allocator, Dlmalloc};

/// Bytes of a page of WebAssembly's memory.
const PAGE: usize = 64 << 10;

/// Bytes to begin with: more than most workflows ever use. What is not touched costs nothing.
const FIRST: usize = 4 * PAGE;

#[global_allocator]
static HEAP: Heap = Heap(UnsafeCell::new(Dlmalloc::new_with_allocator(Pages { begun: Cell::new(false) })));

static FIRST_PAGES: FirstPages = FirstPages(UnsafeCell::new([0; FIRST]));

#[repr(align(16))]
struct FirstPages(UnsafeCell<[u8; FIRST]>);

struct Heap(UnsafeCell<Dlmalloc<Pages>>);

// SAFETY: a guest has one thread, and an allocator does not call itself.
unsafe impl Sync for Heap {}
// SAFETY: only `Pages` takes its address, and gives it away once.
unsafe impl Sync for FirstPages {}

// SAFETY: `Dlmalloc` keeps the contract; the only reference to it lasts for one call.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: see above.
        unsafe { (*self.0.get()).malloc(layout.size(), layout.align()) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: see above.
        unsafe { (*self.0.get()).calloc(layout.size(), layout.align()) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back what it got with this layout.
        unsafe { (*self.0.get()).free(block, layout.size(), layout.align()) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller gives back what it got with this layout.
        unsafe { (*self.0.get()).realloc(block, layout.size(), layout.align(), size) }
    }
}

/// Where the heap gets its memory.
struct Pages {
    /// The first pages are in use.
    begun: Cell<bool>,
}

// SAFETY: every block is given away once and never taken back.
unsafe impl Allocator for Pages {
    fn alloc(&self, size: usize) -> (*mut u8, usize, u32) {
        if size <= FIRST && !self.begun.replace(true) {
            return (FIRST_PAGES.0.get().cast(), FIRST, 0);
        }
        let pages = size.div_ceil(PAGE);
        match core::arch::wasm32::memory_grow::<0>(pages) {
            usize::MAX => (ptr::null_mut(), 0, 0),
            before => (ptr::with_exposed_provenance_mut(before * PAGE), pages * PAGE, 0),
        }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        PAGE
    }
}
