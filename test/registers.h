/* A function that has words in the callee-saved registers and nowhere else. */
#ifndef REGISTERS_H
#define REGISTERS_H

#include <stdint.h>

struct stack_step {
    void (*call)(void *arg);
    void *arg;
};

/* Has the complements of REGISTERS words in the callee-saved registers, those of floating point
 * included, and nowhere else, while it takes three steps. */
void hold_in_registers(const uintptr_t *hidden, const struct stack_step *steps);

/* In a function: it saves its caller's registers, and gives them back when it returns. */

#if defined(__x86_64__)

#define REGISTERS 6 /* rbx, rbp, r12 to r15 */
#define USES_ALL_REGISTERS() __asm__ volatile("" : : : "rbx", "r12", "r13", "r14", "r15", "memory")

__asm__(".text\n"
        ".p2align 4\n"
        ".globl hold_in_registers\n"
        ".type hold_in_registers, @function\n"
        "hold_in_registers:\n"
        "pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
        "subq $24, %rsp\n"
        "movq %rsi, 8(%rsp)\n"
        "movq (%rdi), %rbx; notq %rbx\n"
        "movq 8(%rdi), %rbp; notq %rbp\n"
        "movq 16(%rdi), %r12; notq %r12\n"
        "movq 24(%rdi), %r13; notq %r13\n"
        "movq 32(%rdi), %r14; notq %r14\n"
        "movq 40(%rdi), %r15; notq %r15\n"
        "movq 8(%rsp), %rax; movq 8(%rax), %rdi; call *(%rax)\n"
        "movq 8(%rsp), %rax; movq 24(%rax), %rdi; call *16(%rax)\n"
        "movq 8(%rsp), %rax; movq 40(%rax), %rdi; call *32(%rax)\n"
        "addq $24, %rsp\n"
        "popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
        "ret\n"
        ".size hold_in_registers, . - hold_in_registers\n");

#elif defined(__i386__)

#define REGISTERS 4 /* ebx, esi, edi, ebp */
#define USES_ALL_REGISTERS() __asm__ volatile("" : : : "ebx", "esi", "edi", "memory")

__asm__(".text\n"
        ".p2align 4\n"
        ".globl hold_in_registers\n"
        ".type hold_in_registers, @function\n"
        "hold_in_registers:\n"
        "pushl %ebx; pushl %esi; pushl %edi; pushl %ebp\n"
        "subl $12, %esp\n"
        "movl 32(%esp), %eax\n"
        "movl (%eax), %ebx; notl %ebx\n"
        "movl 4(%eax), %esi; notl %esi\n"
        "movl 8(%eax), %edi; notl %edi\n"
        "movl 12(%eax), %ebp; notl %ebp\n"
        "movl 36(%esp), %eax; movl 4(%eax), %ecx; movl %ecx, (%esp); call *(%eax)\n"
        "movl 36(%esp), %eax; movl 12(%eax), %ecx; movl %ecx, (%esp); call *8(%eax)\n"
        "movl 36(%esp), %eax; movl 20(%eax), %ecx; movl %ecx, (%esp); call *16(%eax)\n"
        "addl $12, %esp\n"
        "popl %ebp; popl %edi; popl %esi; popl %ebx\n"
        "ret\n"
        ".size hold_in_registers, . - hold_in_registers\n");

#elif defined(__aarch64__)

#define REGISTERS 19 /* x19 to x29, d8 to d15 */
#define USES_ALL_REGISTERS()                                                                       \
    __asm__ volatile(""                                                                            \
                     :                                                                             \
                     :                                                                             \
                     : "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "d8", \
                       "d9", "d10", "d11", "d12", "d13", "d14", "d15", "memory")

__asm__(".text\n"
        ".p2align 4\n"
        ".globl hold_in_registers\n"
        ".type hold_in_registers, @function\n"
        "hold_in_registers:\n"
        "stp x29, x30, [sp, #-192]!\n"
        "stp x19, x20, [sp, #16]; stp x21, x22, [sp, #32]; stp x23, x24, [sp, #48]\n"
        "stp x25, x26, [sp, #64]; stp x27, x28, [sp, #80]\n"
        "stp d8, d9, [sp, #96]; stp d10, d11, [sp, #112]; stp d12, d13, [sp, #128]; stp d14, d15, "
        "[sp, #144]\n"
        "str x1, [sp, #160]\n"
        "ldr x19, [x0, #0]; mvn x19, x19\n"
        "ldr x20, [x0, #8]; mvn x20, x20\n"
        "ldr x21, [x0, #16]; mvn x21, x21\n"
        "ldr x22, [x0, #24]; mvn x22, x22\n"
        "ldr x23, [x0, #32]; mvn x23, x23\n"
        "ldr x24, [x0, #40]; mvn x24, x24\n"
        "ldr x25, [x0, #48]; mvn x25, x25\n"
        "ldr x26, [x0, #56]; mvn x26, x26\n"
        "ldr x27, [x0, #64]; mvn x27, x27\n"
        "ldr x28, [x0, #72]; mvn x28, x28\n"
        "ldr x29, [x0, #80]; mvn x29, x29\n"
        "ldr x9, [x0, #88]; mvn x9, x9; fmov d8, x9\n"
        "ldr x9, [x0, #96]; mvn x9, x9; fmov d9, x9\n"
        "ldr x9, [x0, #104]; mvn x9, x9; fmov d10, x9\n"
        "ldr x9, [x0, #112]; mvn x9, x9; fmov d11, x9\n"
        "ldr x9, [x0, #120]; mvn x9, x9; fmov d12, x9\n"
        "ldr x9, [x0, #128]; mvn x9, x9; fmov d13, x9\n"
        "ldr x9, [x0, #136]; mvn x9, x9; fmov d14, x9\n"
        "ldr x9, [x0, #144]; mvn x9, x9; fmov d15, x9\n"
        "mov x9, xzr\n"
        "ldr x1, [sp, #160]; ldp x2, x0, [x1, #0]; blr x2\n"
        "ldr x1, [sp, #160]; ldp x2, x0, [x1, #16]; blr x2\n"
        "ldr x1, [sp, #160]; ldp x2, x0, [x1, #32]; blr x2\n"
        "ldp d8, d9, [sp, #96]; ldp d10, d11, [sp, #112]; ldp d12, d13, [sp, #128]; ldp d14, d15, "
        "[sp, #144]\n"
        "ldp x19, x20, [sp, #16]; ldp x21, x22, [sp, #32]; ldp x23, x24, [sp, #48]\n"
        "ldp x25, x26, [sp, #64]; ldp x27, x28, [sp, #80]\n"
        "ldp x29, x30, [sp], #192\n"
        "ret\n"
        ".size hold_in_registers, . - hold_in_registers\n");

#elif defined(__arm__) && defined(__ARM_FP)

#define REGISTERS 16 /* r4 to r11, the lower halves of d8 to d15 */
#define USES_ALL_REGISTERS()                                                                       \
    __asm__ volatile(""                                                                            \
                     :                                                                             \
                     :                                                                             \
                     : "r4", "r5", "r6", "r8", "r9", "r10", "d8", "d9", "d10", "d11", "d12",       \
                       "d13", "d14", "d15", "memory")

__asm__(".text\n"
        ".arm\n"
        ".p2align 4\n"
        ".globl hold_in_registers\n"
        ".type hold_in_registers, %function\n"
        "hold_in_registers:\n"
        "push {r4-r11, lr}\n"
        "vpush {d8-d15}\n"
        "sub sp, sp, #12\n"
        "str r1, [sp]\n"
        "ldr r4, [r0, #0]; mvn r4, r4\n"
        "ldr r5, [r0, #4]; mvn r5, r5\n"
        "ldr r6, [r0, #8]; mvn r6, r6\n"
        "ldr r7, [r0, #12]; mvn r7, r7\n"
        "ldr r8, [r0, #16]; mvn r8, r8\n"
        "ldr r9, [r0, #20]; mvn r9, r9\n"
        "ldr r10, [r0, #24]; mvn r10, r10\n"
        "ldr r11, [r0, #28]; mvn r11, r11\n"
        "ldr r12, [r0, #32]; mvn r12, r12; vmov s16, r12\n"
        "ldr r12, [r0, #36]; mvn r12, r12; vmov s18, r12\n"
        "ldr r12, [r0, #40]; mvn r12, r12; vmov s20, r12\n"
        "ldr r12, [r0, #44]; mvn r12, r12; vmov s22, r12\n"
        "ldr r12, [r0, #48]; mvn r12, r12; vmov s24, r12\n"
        "ldr r12, [r0, #52]; mvn r12, r12; vmov s26, r12\n"
        "ldr r12, [r0, #56]; mvn r12, r12; vmov s28, r12\n"
        "ldr r12, [r0, #60]; mvn r12, r12; vmov s30, r12\n"
        "mov r12, #0\n"
        "ldr r1, [sp]; ldr r2, [r1, #0]; ldr r0, [r1, #4]; blx r2\n"
        "ldr r1, [sp]; ldr r2, [r1, #8]; ldr r0, [r1, #12]; blx r2\n"
        "ldr r1, [sp]; ldr r2, [r1, #16]; ldr r0, [r1, #20]; blx r2\n"
        "add sp, sp, #12\n"
        "vpop {d8-d15}\n"
        "pop {r4-r11, pc}\n"
        ".size hold_in_registers, . - hold_in_registers\n");

#elif defined(__riscv) && __riscv_xlen == 64 && defined(__riscv_float_abi_double)

#define REGISTERS 24 /* s0 to s11, fs0 to fs11 */
#define USES_ALL_REGISTERS()                                                                       \
    __asm__ volatile(""                                                                            \
                     :                                                                             \
                     :                                                                             \
                     : "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "fs0",  \
                       "fs1", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10",      \
                       "fs11", "memory")

__asm__(".text\n"
        ".p2align 4\n"
        ".globl hold_in_registers\n"
        ".type hold_in_registers, @function\n"
        "hold_in_registers:\n"
        "addi sp, sp, -224\n"
        "sd ra, 0(sp)\n"
        "sd s0, 8(sp)\n"
        "sd s1, 16(sp)\n"
        "sd s2, 24(sp)\n"
        "sd s3, 32(sp)\n"
        "sd s4, 40(sp)\n"
        "sd s5, 48(sp)\n"
        "sd s6, 56(sp)\n"
        "sd s7, 64(sp)\n"
        "sd s8, 72(sp)\n"
        "sd s9, 80(sp)\n"
        "sd s10, 88(sp)\n"
        "sd s11, 96(sp)\n"
        "fsd fs0, 104(sp)\n"
        "fsd fs1, 112(sp)\n"
        "fsd fs2, 120(sp)\n"
        "fsd fs3, 128(sp)\n"
        "fsd fs4, 136(sp)\n"
        "fsd fs5, 144(sp)\n"
        "fsd fs6, 152(sp)\n"
        "fsd fs7, 160(sp)\n"
        "fsd fs8, 168(sp)\n"
        "fsd fs9, 176(sp)\n"
        "fsd fs10, 184(sp)\n"
        "fsd fs11, 192(sp)\n"
        "sd a1, 200(sp)\n"
        "ld s0, 0(a0); not s0, s0\n"
        "ld s1, 8(a0); not s1, s1\n"
        "ld s2, 16(a0); not s2, s2\n"
        "ld s3, 24(a0); not s3, s3\n"
        "ld s4, 32(a0); not s4, s4\n"
        "ld s5, 40(a0); not s5, s5\n"
        "ld s6, 48(a0); not s6, s6\n"
        "ld s7, 56(a0); not s7, s7\n"
        "ld s8, 64(a0); not s8, s8\n"
        "ld s9, 72(a0); not s9, s9\n"
        "ld s10, 80(a0); not s10, s10\n"
        "ld s11, 88(a0); not s11, s11\n"
        "ld t0, 96(a0); not t0, t0; fmv.d.x fs0, t0\n"
        "ld t0, 104(a0); not t0, t0; fmv.d.x fs1, t0\n"
        "ld t0, 112(a0); not t0, t0; fmv.d.x fs2, t0\n"
        "ld t0, 120(a0); not t0, t0; fmv.d.x fs3, t0\n"
        "ld t0, 128(a0); not t0, t0; fmv.d.x fs4, t0\n"
        "ld t0, 136(a0); not t0, t0; fmv.d.x fs5, t0\n"
        "ld t0, 144(a0); not t0, t0; fmv.d.x fs6, t0\n"
        "ld t0, 152(a0); not t0, t0; fmv.d.x fs7, t0\n"
        "ld t0, 160(a0); not t0, t0; fmv.d.x fs8, t0\n"
        "ld t0, 168(a0); not t0, t0; fmv.d.x fs9, t0\n"
        "ld t0, 176(a0); not t0, t0; fmv.d.x fs10, t0\n"
        "ld t0, 184(a0); not t0, t0; fmv.d.x fs11, t0\n"
        "li t0, 0\n"
        "ld a1, 200(sp); ld t1, 0(a1); ld a0, 8(a1); jalr t1\n"
        "ld a1, 200(sp); ld t1, 16(a1); ld a0, 24(a1); jalr t1\n"
        "ld a1, 200(sp); ld t1, 32(a1); ld a0, 40(a1); jalr t1\n"
        "ld s0, 8(sp)\n"
        "ld s1, 16(sp)\n"
        "ld s2, 24(sp)\n"
        "ld s3, 32(sp)\n"
        "ld s4, 40(sp)\n"
        "ld s5, 48(sp)\n"
        "ld s6, 56(sp)\n"
        "ld s7, 64(sp)\n"
        "ld s8, 72(sp)\n"
        "ld s9, 80(sp)\n"
        "ld s10, 88(sp)\n"
        "ld s11, 96(sp)\n"
        "fld fs0, 104(sp)\n"
        "fld fs1, 112(sp)\n"
        "fld fs2, 120(sp)\n"
        "fld fs3, 128(sp)\n"
        "fld fs4, 136(sp)\n"
        "fld fs5, 144(sp)\n"
        "fld fs6, 152(sp)\n"
        "fld fs7, 160(sp)\n"
        "fld fs8, 168(sp)\n"
        "fld fs9, 176(sp)\n"
        "fld fs10, 184(sp)\n"
        "fld fs11, 192(sp)\n"
        "ld ra, 0(sp)\n"
        "addi sp, sp, 224\n"
        "ret\n"
        ".size hold_in_registers, . - hold_in_registers\n");

#elif defined(__s390x__)

#define REGISTERS 16 /* r6 to r13, f8 to f15 */
#define USES_ALL_REGISTERS()                                                                       \
    __asm__ volatile(""                                                                            \
                     :                                                                             \
                     :                                                                             \
                     : "r6", "r7", "r8", "r9", "r10", "r11", "f8", "f9", "f10", "f11", "f12",      \
                       "f13", "f14", "f15", "memory")

__asm__(".text\n"
        ".p2align 4\n"
        ".globl hold_in_registers\n"
        ".type hold_in_registers, @function\n"
        "hold_in_registers:\n"
        "stmg %r6, %r15, 48(%r15)\n"
        "aghi %r15, -240\n"
        "std %f8, 160(%r15)\n"
        "std %f9, 168(%r15)\n"
        "std %f10, 176(%r15)\n"
        "std %f11, 184(%r15)\n"
        "std %f12, 192(%r15)\n"
        "std %f13, 200(%r15)\n"
        "std %f14, 208(%r15)\n"
        "std %f15, 216(%r15)\n"
        "stg %r3, 224(%r15)\n"
        "lghi %r0, -1\n"
        "lg %r6, 0(%r2); xgr %r6, %r0\n"
        "lg %r7, 8(%r2); xgr %r7, %r0\n"
        "lg %r8, 16(%r2); xgr %r8, %r0\n"
        "lg %r9, 24(%r2); xgr %r9, %r0\n"
        "lg %r10, 32(%r2); xgr %r10, %r0\n"
        "lg %r11, 40(%r2); xgr %r11, %r0\n"
        "lg %r12, 48(%r2); xgr %r12, %r0\n"
        "lg %r13, 56(%r2); xgr %r13, %r0\n"
        "lg %r1, 64(%r2); xgr %r1, %r0; ldgr %f8, %r1\n"
        "lg %r1, 72(%r2); xgr %r1, %r0; ldgr %f9, %r1\n"
        "lg %r1, 80(%r2); xgr %r1, %r0; ldgr %f10, %r1\n"
        "lg %r1, 88(%r2); xgr %r1, %r0; ldgr %f11, %r1\n"
        "lg %r1, 96(%r2); xgr %r1, %r0; ldgr %f12, %r1\n"
        "lg %r1, 104(%r2); xgr %r1, %r0; ldgr %f13, %r1\n"
        "lg %r1, 112(%r2); xgr %r1, %r0; ldgr %f14, %r1\n"
        "lg %r1, 120(%r2); xgr %r1, %r0; ldgr %f15, %r1\n"
        "lghi %r1, 0\n"
        "lg %r3, 224(%r15); lg %r1, 0(%r3); lg %r2, 8(%r3); basr %r14, %r1\n"
        "lg %r3, 224(%r15); lg %r1, 16(%r3); lg %r2, 24(%r3); basr %r14, %r1\n"
        "lg %r3, 224(%r15); lg %r1, 32(%r3); lg %r2, 40(%r3); basr %r14, %r1\n"
        "ld %f8, 160(%r15)\n"
        "ld %f9, 168(%r15)\n"
        "ld %f10, 176(%r15)\n"
        "ld %f11, 184(%r15)\n"
        "ld %f12, 192(%r15)\n"
        "ld %f13, 200(%r15)\n"
        "ld %f14, 208(%r15)\n"
        "ld %f15, 216(%r15)\n"
        "lmg %r6, %r15, 288(%r15)\n"
        "br %r14\n"
        ".size hold_in_registers, . - hold_in_registers\n");

#elif defined(__powerpc64__) && _CALL_ELF == 2

#define REGISTERS 36 /* r14 to r31, f14 to f31 */
#define USES_ALL_REGISTERS()                                                                       \
    __asm__ volatile(""                                                                            \
                     :                                                                             \
                     :                                                                             \
                     : "r14", "r15", "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23",       \
                       "r24", "r25", "r26", "r27", "r28", "r29", "r30", "fr14", "fr15", "fr16",    \
                       "fr17", "fr18", "fr19", "fr20", "fr21", "fr22", "fr23", "fr24", "fr25",     \
                       "fr26", "fr27", "fr28", "fr29", "fr30", "fr31", "memory")

__asm__(".text\n"
        ".p2align 4\n"
        ".globl hold_in_registers\n"
        ".type hold_in_registers, @function\n"
        "hold_in_registers:\n"
        "mflr 0\n"
        "std 0, 16(1)\n"
        "stdu 1, -352(1)\n"
        "std 14, 40(1)\n"
        "std 15, 48(1)\n"
        "std 16, 56(1)\n"
        "std 17, 64(1)\n"
        "std 18, 72(1)\n"
        "std 19, 80(1)\n"
        "std 20, 88(1)\n"
        "std 21, 96(1)\n"
        "std 22, 104(1)\n"
        "std 23, 112(1)\n"
        "std 24, 120(1)\n"
        "std 25, 128(1)\n"
        "std 26, 136(1)\n"
        "std 27, 144(1)\n"
        "std 28, 152(1)\n"
        "std 29, 160(1)\n"
        "std 30, 168(1)\n"
        "std 31, 176(1)\n"
        "stfd 14, 184(1)\n"
        "stfd 15, 192(1)\n"
        "stfd 16, 200(1)\n"
        "stfd 17, 208(1)\n"
        "stfd 18, 216(1)\n"
        "stfd 19, 224(1)\n"
        "stfd 20, 232(1)\n"
        "stfd 21, 240(1)\n"
        "stfd 22, 248(1)\n"
        "stfd 23, 256(1)\n"
        "stfd 24, 264(1)\n"
        "stfd 25, 272(1)\n"
        "stfd 26, 280(1)\n"
        "stfd 27, 288(1)\n"
        "stfd 28, 296(1)\n"
        "stfd 29, 304(1)\n"
        "stfd 30, 312(1)\n"
        "stfd 31, 320(1)\n"
        "std 4, 328(1)\n"
        "ld 14, 0(3); not 14, 14\n"
        "ld 15, 8(3); not 15, 15\n"
        "ld 16, 16(3); not 16, 16\n"
        "ld 17, 24(3); not 17, 17\n"
        "ld 18, 32(3); not 18, 18\n"
        "ld 19, 40(3); not 19, 19\n"
        "ld 20, 48(3); not 20, 20\n"
        "ld 21, 56(3); not 21, 21\n"
        "ld 22, 64(3); not 22, 22\n"
        "ld 23, 72(3); not 23, 23\n"
        "ld 24, 80(3); not 24, 24\n"
        "ld 25, 88(3); not 25, 25\n"
        "ld 26, 96(3); not 26, 26\n"
        "ld 27, 104(3); not 27, 27\n"
        "ld 28, 112(3); not 28, 28\n"
        "ld 29, 120(3); not 29, 29\n"
        "ld 30, 128(3); not 30, 30\n"
        "ld 31, 136(3); not 31, 31\n"
        "ld 5, 144(3); not 5, 5; mtfprd 14, 5\n"
        "ld 5, 152(3); not 5, 5; mtfprd 15, 5\n"
        "ld 5, 160(3); not 5, 5; mtfprd 16, 5\n"
        "ld 5, 168(3); not 5, 5; mtfprd 17, 5\n"
        "ld 5, 176(3); not 5, 5; mtfprd 18, 5\n"
        "ld 5, 184(3); not 5, 5; mtfprd 19, 5\n"
        "ld 5, 192(3); not 5, 5; mtfprd 20, 5\n"
        "ld 5, 200(3); not 5, 5; mtfprd 21, 5\n"
        "ld 5, 208(3); not 5, 5; mtfprd 22, 5\n"
        "ld 5, 216(3); not 5, 5; mtfprd 23, 5\n"
        "ld 5, 224(3); not 5, 5; mtfprd 24, 5\n"
        "ld 5, 232(3); not 5, 5; mtfprd 25, 5\n"
        "ld 5, 240(3); not 5, 5; mtfprd 26, 5\n"
        "ld 5, 248(3); not 5, 5; mtfprd 27, 5\n"
        "ld 5, 256(3); not 5, 5; mtfprd 28, 5\n"
        "ld 5, 264(3); not 5, 5; mtfprd 29, 5\n"
        "ld 5, 272(3); not 5, 5; mtfprd 30, 5\n"
        "ld 5, 280(3); not 5, 5; mtfprd 31, 5\n"
        "li 5, 0\n"
        "ld 4, 328(1); ld 12, 0(4); ld 3, 8(4); mtctr 12; std 2, 24(1); bctrl; ld 2, 24(1)\n"
        "ld 4, 328(1); ld 12, 16(4); ld 3, 24(4); mtctr 12; std 2, 24(1); bctrl; ld 2, 24(1)\n"
        "ld 4, 328(1); ld 12, 32(4); ld 3, 40(4); mtctr 12; std 2, 24(1); bctrl; ld 2, 24(1)\n"
        "ld 14, 40(1)\n"
        "ld 15, 48(1)\n"
        "ld 16, 56(1)\n"
        "ld 17, 64(1)\n"
        "ld 18, 72(1)\n"
        "ld 19, 80(1)\n"
        "ld 20, 88(1)\n"
        "ld 21, 96(1)\n"
        "ld 22, 104(1)\n"
        "ld 23, 112(1)\n"
        "ld 24, 120(1)\n"
        "ld 25, 128(1)\n"
        "ld 26, 136(1)\n"
        "ld 27, 144(1)\n"
        "ld 28, 152(1)\n"
        "ld 29, 160(1)\n"
        "ld 30, 168(1)\n"
        "ld 31, 176(1)\n"
        "lfd 14, 184(1)\n"
        "lfd 15, 192(1)\n"
        "lfd 16, 200(1)\n"
        "lfd 17, 208(1)\n"
        "lfd 18, 216(1)\n"
        "lfd 19, 224(1)\n"
        "lfd 20, 232(1)\n"
        "lfd 21, 240(1)\n"
        "lfd 22, 248(1)\n"
        "lfd 23, 256(1)\n"
        "lfd 24, 264(1)\n"
        "lfd 25, 272(1)\n"
        "lfd 26, 280(1)\n"
        "lfd 27, 288(1)\n"
        "lfd 28, 296(1)\n"
        "lfd 29, 304(1)\n"
        "lfd 30, 312(1)\n"
        "lfd 31, 320(1)\n"
        "addi 1, 1, 352\n"
        "ld 0, 16(1)\n"
        "mtlr 0\n"
        "blr\n"
        ".size hold_in_registers, . - hold_in_registers\n");

#endif

#endif
