package ststest

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"net/http"
	"time"
)

const namespace = "https://sts.amazonaws.com/doc/2011-06-15/"

type assumedXML struct {
	XMLName   xml.Name  `xml:"AssumeRoleWithWebIdentityResponse"`
	Namespace string    `xml:"xmlns,attr"`
	Result    resultXML `xml:"AssumeRoleWithWebIdentityResult"`
	RequestID string    `xml:"ResponseMetadata>RequestId"`
}

type resultXML struct {
	AccessKeyID      string `xml:"Credentials>AccessKeyId"`
	SecretAccessKey  string `xml:"Credentials>SecretAccessKey"`
	SessionToken     string `xml:"Credentials>SessionToken"`
	Expiration       string `xml:"Credentials>Expiration"`
	Subject          string `xml:"SubjectFromWebIdentityToken"`
	RoleID           string `xml:"AssumedRoleUser>AssumedRoleId"`
	RoleARN          string `xml:"AssumedRoleUser>Arn"`
	Provider         string `xml:"Provider"`
	Audience         string `xml:"Audience"`
	SourceIdentity   string `xml:"SourceIdentity,omitempty"`
	PackedPolicySize int    `xml:"PackedPolicySize,omitempty"`
}

type errorXML struct {
	XMLName   xml.Name `xml:"ErrorResponse"`
	Namespace string   `xml:"xmlns,attr"`
	Type      string   `xml:"Error>Type"`
	Code      string   `xml:"Error>Code"`
	Message   string   `xml:"Error>Message"`
	RequestID string   `xml:"RequestId"`
}

// writeAssumed answers with fresh credentials. The access key id has AWS's form;
// none of the three opens anything.
func writeAssumed(w http.ResponseWriter, a *assumed) {
	requestID := newRequestID()
	result := resultXML{
		AccessKeyID:      "ASIA" + rand.Text()[:16],
		SecretAccessKey:  randomBase64(30),
		SessionToken:     "IQoJb3JpZ2luX2VjE" + randomBase64(600),
		Expiration:       a.expires.UTC().Format(time.RFC3339),
		Subject:          a.identity.Subject,
		RoleID:           "AROA" + rand.Text()[:16] + ":" + a.name,
		RoleARN:          "arn:" + a.role.partition + ":sts::" + a.role.account + ":assumed-role/" + a.role.name + "/" + a.name,
		Provider:         a.identity.Issuer,
		Audience:         a.identity.Audience,
		PackedPolicySize: a.packedPolicy,
	}
	if a.identity.SourceIdentity != nil {
		result.SourceIdentity = *a.identity.SourceIdentity
	}
	writeXML(w, http.StatusOK, requestID, assumedXML{Namespace: namespace, Result: result, RequestID: requestID})
}

func writeRefusal(w http.ResponseWriter, e refusal) {
	requestID := newRequestID()
	kind := "Sender"
	if e.Status >= http.StatusInternalServerError {
		kind = "Receiver"
	}
	writeXML(w, e.Status, requestID, errorXML{
		Namespace: namespace, Type: kind, Code: e.Code, Message: e.Message, RequestID: requestID,
	})
}

func writeXML(w http.ResponseWriter, status int, requestID string, document any) {
	text, err := xml.Marshal(document)
	if err != nil {
		http.Error(w, "the answer could not be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("x-amzn-RequestId", requestID)
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may have gone
}

// newRequestID returns a UUID of version 4.
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// randomBase64 returns text with the slashes and plus signs that real
// credentials have.
func randomBase64(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the program instead
	return base64.StdEncoding.EncodeToString(b)
}
