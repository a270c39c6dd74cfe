package explain

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
)

// Of an ELF file the harness reads just what explains a failure, by elf(5): package debug/elf would make the
// binary larger by a tenth.

// machineOf names the architecture in an ELF header.
func machineOf(head []byte) string {
	if len(head) < 20 {
		return "a damaged ELF file"
	}
	switch orderOf(head).Uint16(head[18:]) { // e_machine
	case 3:
		return "386"
	case 20, 21:
		return "ppc64"
	case 22:
		return "s390x"
	case 40:
		return "arm"
	case 62:
		return "amd64"
	case 183:
		return "arm64"
	case 243:
		return "riscv64"
	}
	return "an unknown architecture"
}

func orderOf(head []byte) binary.ByteOrder {
	if head[5] == 2 { // EI_DATA, ELFDATA2MSB
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// loaderOf is the program loader that a 64-bit ELF file asks for, or empty.
func loaderOf(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	header := make([]byte, 64)
	if _, err := file.ReadAt(header, 0); err != nil || header[4] != 2 { // EI_CLASS, ELFCLASS64
		return ""
	}
	order := orderOf(header)
	at, size, count := order.Uint64(header[32:]), order.Uint16(header[54:]), order.Uint16(header[56:])
	for i := range count {
		program := make([]byte, 56)
		if _, err := file.ReadAt(program, int64(at)+int64(i)*int64(size)); err != nil {
			return ""
		}
		if order.Uint32(program) == 3 { // p_type, PT_INTERP
			offset, length := order.Uint64(program[8:]), min(order.Uint64(program[32:]), 4096)
			name, _ := io.ReadAll(io.NewSectionReader(file, int64(offset), int64(length)))
			return string(bytes.TrimRight(name, "\x00"))
		}
	}
	return ""
}
