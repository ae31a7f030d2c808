package sts_test

import (
	"context"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"

	"mcp-credential-broker/broker/sts"
)

// partitions holds the regions of each partition and AWS's pattern for them.
var partitions = map[string]struct {
	pattern string
	regions []string
}{
	"aws": {`^(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+$`, []string{
		"us-east-1", "us-west-2", "eu-central-1", "ap-southeast-5", "sa-east-1", "ca-west-1",
		"me-south-1", "af-south-1", "il-central-1", "mx-central-1", "eu-west-99"}},
	"aws-cn":     {`^cn-\w+-\d+$`, []string{"cn-north-1", "cn-northwest-1"}},
	"aws-us-gov": {`^us-gov-\w+-\d+$`, []string{"us-gov-east-1", "us-gov-west-1"}},
	"aws-eusc":   {`^eusc-(de)-\w+-\d+$`, []string{"eusc-de-east-1"}},
	"aws-iso":    {`^us-iso-\w+-\d+$`, []string{"us-iso-east-1", "us-iso-west-1"}},
	"aws-iso-b":  {`^us-isob-\w+-\d+$`, []string{"us-isob-east-1"}},
	"aws-iso-e":  {`^eu-isoe-\w+-\d+$`, []string{"eu-isoe-west-1"}},
	"aws-iso-f":  {`^us-isof-\w+-\d+$`, []string{"us-isof-south-1", "us-isof-east-1"}},
}

func TestEndpointAgreesWithSDK(t *testing.T) {
	resolver := awssts.NewDefaultEndpointResolverV2()
	for partition, known := range partitions {
		for _, region := range append(known.regions, sts.DefaultRegion(partition)) {
			got, err := sts.Endpoint(partition, region)
			if err != nil {
				t.Errorf("%s, %s: %v", partition, region, err)
				continue
			}
			want, err := resolver.ResolveEndpoint(context.Background(), awssts.EndpointParameters{
				Region: aws.String(region), UseGlobalEndpoint: aws.Bool(false),
			})
			if err != nil {
				t.Fatal(err)
			}
			if got != want.URI.String()+"/" {
				t.Errorf("%s, %s: got %s, SDK has %s", partition, region, got, want.URI.String())
			}
		}
	}
}

func TestRegionBelongsToOnePartition(t *testing.T) {
	for home, known := range partitions {
		for _, region := range known.regions {
			if !sts.ValidRegion(region) {
				t.Errorf("region %s is of no partition", region)
			}
			for partition := range partitions {
				_, err := sts.Endpoint(partition, region)
				if home == partition && err != nil || home != partition && err != sts.ErrRegion {
					t.Errorf("region %s in partition %s: %v", region, partition, err)
				}
			}
		}
	}
}

func TestEndpointRefuses(t *testing.T) {
	regions := []string{
		"", "us-east-1.evil.example", "us-east-1/", "us-east-1#", "us-east-1?x", "us-east-1@evil", "us-east-1:443",
		"us-east-1\n", " us-east-1", "US-EAST-1", "us-EAST-1", "us-ea_st-1", "us-east", "us--1", "us-east-", "-east-1",
		"us-east-1a", "us-east-1-2", "us-east-one", "us-east-١", "us-eäst-1", "useast-1", "aws-global", "xx-east-1",
		"us-east-" + strings.Repeat("1", 40), "us-" + strings.Repeat("a", 60) + "-1", "us-%65ast-1",
	}
	for _, region := range regions {
		if got, err := sts.Endpoint("aws", region); err != sts.ErrRegion {
			t.Errorf("region %q: %q, %v", region, got, err)
		}
		if sts.ValidRegion(region) {
			t.Errorf("region %q is of some partition", region)
		}
	}
	for _, partition := range []string{"", "AWS", "aws-", "aws-mars", "aws\n"} {
		if got, err := sts.Endpoint(partition, "us-east-1"); err != sts.ErrRole {
			t.Errorf("partition %q: %q, %v", partition, got, err)
		}
		if region := sts.DefaultRegion(partition); region != "" {
			t.Errorf("partition %q has default region %q", partition, region)
		}
	}
}

func FuzzEndpoint(f *testing.F) {
	for partition, known := range partitions {
		f.Add(partition, known.regions[0])
	}
	f.Add("aws", "us-east-1.evil.example")
	f.Fuzz(func(t *testing.T, partition, region string) {
		got, err := sts.Endpoint(partition, region)
		if err != nil {
			return
		}
		if !regexp.MustCompile(partitions[partition].pattern).MatchString(region) {
			t.Fatalf("%q passes as a region of %q", region, partition)
		}
		u, err := url.Parse(got)
		if err != nil || u.Scheme != "https" || u.Host != u.Hostname() || u.Path != "/" || !strings.HasPrefix(u.Host, "sts."+region+".") {
			t.Fatalf("%q gives %q", region, got)
		}
	})
}
