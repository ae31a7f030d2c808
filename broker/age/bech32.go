package age

import "strings"

// Bech32 (BIP 173), as far as recipients need it: one prefix, one length.
const (
	charset       = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
	checksumChars = 6
)

// decodeBech32 returns the 32 bytes of text, which begins with recipientPrefix and
// is textBytes long.
//
// Errors: ErrMalformed, ErrChecksum.
func decodeBech32(text string) ([]byte, error) {
	digits := make([]byte, 0, textBytes)
	for _, c := range []byte(text[len(recipientPrefix):]) {
		digit := strings.IndexByte(charset, c)
		if digit < 0 {
			return nil, ErrMalformed
		}
		digits = append(digits, byte(digit))
	}
	if polymod(digits) != 1 {
		return nil, ErrChecksum
	}
	var (
		point []byte
		bits  uint32
		have  int
	)
	for _, digit := range digits[:len(digits)-checksumChars] {
		bits, have = bits<<5|uint32(digit), have+5
		if have >= 8 {
			have -= 8
			point = append(point, byte(bits>>have))
			bits &= 1<<have - 1
		}
	}
	if bits != 0 { // the bits that stand for nothing: a second spelling
		return nil, ErrMalformed
	}
	return point, nil
}

// polymod returns the checksum over the expanded prefix "age" and the digits: 1
// where the last six fit the others.
func polymod(digits []byte) uint32 {
	sum := uint32(1)
	add := func(digit byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(digit)
		for i, generator := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				sum ^= generator
			}
		}
	}
	const prefix = "age"
	for _, c := range []byte(prefix) {
		add(c >> 5)
	}
	add(0)
	for _, c := range []byte(prefix) {
		add(c & 31)
	}
	for _, digit := range digits {
		add(digit)
	}
	return sum
}
