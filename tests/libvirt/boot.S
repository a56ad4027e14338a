/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A boot sector that says on the serial port what is written in the disk's third
 * sector, writes that into the second, and says that it did.  Then it waits.
 */
	.code16
	.globl _start
_start:
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$0x7c00, %sp
	movb	%dl, drive
	movw	$0x4200, %ax		/* extended read of sector 2 */
	movb	$2, lba
	call	disk
	movw	$0x8000, %si
	call	say
	movw	$0x4300, %ax		/* extended write into sector 1 */
	movb	$1, lba
	call	disk
	movw	$written, %si
	call	say
wait:
	sti
	hlt
	jmp	wait

/* INT 13h with the packet; what fails is said and is the end. */
disk:
	movw	$packet, %si
	movb	drive, %dl
	int	$0x13
	jc	failed
	ret
failed:
	movw	$error, %si
	call	say
	jmp	wait

/* The string at SI to COM1, each byte when there is room. */
say:
	lodsb
	testb	%al, %al
	jz	said
	movb	%al, %ah
	movw	$0x3fd, %dx
full:
	inb	%dx, %al
	testb	$0x20, %al
	jz	full
	movb	%ah, %al
	movw	$0x3f8, %dx
	outb	%al, %dx
	jmp	say
said:
	ret

packet:	.byte	16, 0
	.word	1			/* sectors */
	.word	0x8000, 0		/* to or from 0:8000 */
lba:	.quad	0
drive:	.byte	0
written: .asciz	" written\n"
error:	.asciz	" disk error\n"
	.org	510
	.word	0xaa55
