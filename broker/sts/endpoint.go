package sts

import "strings"

// A partition is a group of regions with its own accounts and DNS suffix.
type partition struct {
	// prefixes are what regions start with, without the last hyphen, in one text.
	prefixes      string
	dnsSuffix     string
	defaultRegion string
}

// findPartition holds what AWS's SDKs know about the partitions.
func findPartition(name string) (p partition, known bool) {
	switch name {
	case "aws":
		return partition{"us eu ap sa ca me af il mx", "amazonaws.com", "us-east-1"}, true
	case "aws-cn":
		return partition{"cn", "amazonaws.com.cn", "cn-northwest-1"}, true
	case "aws-us-gov":
		return partition{"us-gov", "amazonaws.com", "us-gov-west-1"}, true
	case "aws-eusc":
		return partition{"eusc-de", "amazonaws.eu", "eusc-de-east-1"}, true
	case "aws-iso":
		return partition{"us-iso", "c2s.ic.gov", "us-iso-east-1"}, true
	case "aws-iso-b":
		return partition{"us-isob", "sc2s.sgov.gov", "us-isob-east-1"}, true
	case "aws-iso-e":
		return partition{"eu-isoe", "cloud.adc-e.uk", "eu-isoe-west-1"}, true
	case "aws-iso-f":
		return partition{"us-isof", "csp.hci.ic.gov", "us-isof-south-1"}, true
	default:
		return partition{}, false
	}
}

// DefaultRegion returns the region whose STS serves the partition when the
// caller names none, or "" for an unknown partition.
func DefaultRegion(partition string) string {
	p, _ := findPartition(partition)
	return p.defaultRegion
}

// Endpoint returns the URL of the region's STS, e.g.
// "https://sts.eu-west-1.amazonaws.com/". The region must have the form of the
// partition's: it becomes part of a host name, and that host receives a token.
// Tokens of regional endpoints work in every region, unlike those of the global
// one. Its error is ErrRole for an unknown partition, else ErrRegion.
func Endpoint(partition, region string) (string, error) {
	p, known := findPartition(partition)
	if !known {
		return "", ErrRole
	}
	if !p.hasRegion(region) {
		return "", ErrRegion
	}
	return "https://sts." + region + "." + p.dnsSuffix + "/", nil
}

// hasRegion reports whether region is {prefix}-{letters or digits}-{digits}.
func (p partition) hasRegion(region string) bool {
	if len(region) > maxRegion {
		return false
	}
	for prefix := range strings.SplitSeq(p.prefixes, " ") {
		rest, found := strings.CutPrefix(region, prefix+"-")
		if !found {
			continue
		}
		area, number, found := strings.Cut(rest, "-")
		if found && isArea(area) && isDigits(number) {
			return true
		}
	}
	return false
}

// isArea is narrower than AWS's patterns, which let upper case and underscores
// pass: neither is in the name of a region, and a host name holds no underscore.
func isArea(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// ValidRegion reports whether region has the form of some partition's.
func ValidRegion(region string) bool {
	for _, name := range []string{"aws", "aws-cn", "aws-us-gov", "aws-eusc", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f"} {
		if p, known := findPartition(name); known && p.hasRegion(region) {
			return true
		}
	}
	return false
}
