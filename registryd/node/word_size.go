//go:build 386 || arm || mips || mipsle

package node

// The storage of etcd maps its file, of up to quotaBytes, into memory whole, which 32 bit cannot address. etcd
// itself supports 64 bit only, and so does this package: here its build ends.
const _ = envdiscoverd_needs_a_64_bit_processor
