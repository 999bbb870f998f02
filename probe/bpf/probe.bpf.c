// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel side of Millrace's probe: one object, one header per family of hooks. Each hook is
 * optional by itself. Comes in: what the kernel does. Goes out: the events and tables of shared.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

#include "shared.h"
#include "kernel_types.h"
#include "maps.h"
#include "nesting.h"
#include "sockets.h"
#include "packets.h"
#include "rejections.h"
#include "tcp_state.h"
#include "socket_errors.h"
#include "drops.h"
#include "datagrams.h"
#include "connects.h"
#include "cgroups.h"
#include "scan.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
