package sts

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"mcp-credential-broker/broker/upstream"
)

func TestParseXML(t *testing.T) {
	tests := []struct{ name, document, want string }{
		{"empty element", `<a/>`, `a()`},
		{"empty pair", `<a></a>`, `a()`},
		{"text", `<a>x y</a>`, `a(x y)`},
		{"declaration", `<?xml version='1.0' encoding="utf-8" standalone="yes" ?><a/>`, `a()`},
		{"filler", " \r\n<!-- - --><a/>\n<!----> ", `a()`},
		{"nested", `<a><b>1</b><c><d/></c></a>`, `a(b(1)c(d()))`},
		{"mixed", `<a>x<b>1</b>y</a>`, `a(xyb(1))`},
		{"attributes", `<a b="1" c-d = '>/' xml:e="&lt;"/>`, `a()`},
		{"prefix", `<s:a xmlns:s="x"><s:b/></s:a>`, `a(b())`},
		{"named references", `<a>&lt;&gt;&amp;&apos;&quot;</a>`, `a(<>&'")`},
		{"numeric references", `<a>&#65;&#x42;&#x1F600;&#0067;</a>`, "a(AB\U0001F600C)"},
		{"reference is read once", `<a>&amp;lt;</a>`, `a(&lt;)`},
		{"comment in text", `<a>x<!-- <b/> &c; -->y</a>`, `a(xy)`},
		{"CDATA", `<a><![CDATA[<b>&lt;]]]]><![CDATA[>]]></a>`, `a(<b>&lt;]]>)`},
		{"space in tags", "<a\n><b\t/></a >", "a(b())"},
		{"not ASCII", `<a>日本</a>`, `a(日本)`},
		{"deepest", nested(maxXMLDepth), `a(` + strings.Repeat("a(", maxXMLDepth-1) + strings.Repeat(")", maxXMLDepth)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root, err := parseXML([]byte(test.document))
			if err != nil {
				t.Fatal(err)
			}
			if got := render(root); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func nested(depth int) string {
	return strings.Repeat("<a>", depth) + strings.Repeat("</a>", depth)
}

// render writes an element as name(text, then children).
func render(e *element) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s(%s", e.name, e.text)
	for c := e.first; c != nil; c = c.next {
		b.WriteString(render(c))
	}
	return b.String() + ")"
}

func TestParseXMLRefuses(t *testing.T) {
	laughs := `<!DOCTYPE a [<!ENTITY l0 "lol">`
	for i := 1; i < 10; i++ {
		laughs += fmt.Sprintf(`<!ENTITY l%d "%s">`, i, strings.Repeat(fmt.Sprintf("&l%d;", i-1), 10))
	}
	tests := map[string]string{
		"empty":                      "",
		"space":                      " \n",
		"text":                       "hello",
		"billion laughs":             laughs + `]><a>&l9;</a>`,
		"external entity":            `<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>`,
		"external document type":     `<!DOCTYPE a SYSTEM "http://evil.example/a.dtd"><a/>`,
		"document type inside":       `<a><!DOCTYPE a></a>`,
		"entity declaration":         `<a><!ENTITY x "y">&x;</a>`,
		"undefined entity":           `<a>&x;</a>`,
		"HTML entity":                `<a>&nbsp;</a>`,
		"undefined in an attribute":  `<a b="&x;"/>`,
		"processing instruction":     `<?xml-stylesheet href="x"?><a/>`,
		"instruction inside":         `<a><?php x ?></a>`,
		"declaration inside":         `<a><?xml version="1.0"?></a>`,
		"declaration late":           ` <?xml version="1.0"?><a/>`,
		"declaration twice":          `<?xml version="1.0"?><?xml version="1.0"?><a/>`,
		"declaration cut":            `<?xml version="1.0"`,
		"version 1.1":                `<?xml version="1.1"?><a/>`,
		"UTF-7":                      `<?xml version="1.0" encoding="utf-7"?><a>+ADw-b/+AD4-</a>`,
		"Latin-1":                    "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?><a>\xe9</a>",
		"UTF-16":                     "\xff\xfe<\x00a\x00/\x00>\x00",
		"two byte order marks":       "\ufeff\ufeff<a/>",
		"byte order mark inside":     "<?xml version=\"1.0\"?>\ufeff<a/>",
		"invalid UTF-8":              "<a>\xff</a>",
		"NUL":                        "<a>\x00</a>",
		"control":                    "<a>\x1b</a>",
		"non-character":              "<a>\uffff</a>",
		"NUL by reference":           "<a>&#0;</a>",
		"control by reference":       "<a>&#27;</a>",
		"surrogate by reference":     "<a>&#xD800;</a>",
		"beyond Unicode":             "<a>&#x110000;</a>",
		"huge reference":             "<a>&#99999999999999999999;</a>",
		"no digits":                  "<a>&#;&#x;</a>",
		"signed reference":           "<a>&#+65;</a>",
		"digits without sharp":       "<a>&65;</a>",
		"bare ampersand":             "<a>a & b</a>",
		"reference cut":              "<a>&lt</a>",
		"end of CDATA":               "<a>]]></a>",
		"CDATA outside":              "<![CDATA[x]]><a/>",
		"CDATA cut":                  "<a><![CDATA[x]]</a>",
		"comment cut":                "<a><!-- </a>",
		"hyphens in a comment":       "<a><!-- -- --></a>",
		"comment of three":           "<a><!--x---></a>",
		"two roots":                  "<a/><b/>",
		"text after":                 "<a/>x",
		"text before":                "x<a/>",
		"other end":                  "<a></b>",
		"other case":                 "<a></A>",
		"other prefix":               "<x:a></y:a>",
		"end prefix of the start":    "<ab></a>",
		"overlap":                    "<a><b></a></b>",
		"end only":                   "</a>",
		"not closed":                 "<a><b></b>",
		"tag cut":                    "<a",
		"end tag cut":                "<a></a",
		"no name":                    "<>x</>",
		"space before the name":      "< a/>",
		"digit first":                "<1a/>",
		"two colons":                 "<a:b:c/>",
		"no prefix":                  "<:a/>",
		"no local name":              "<a:/>",
		"name not ASCII":             "<é/>",
		"attribute without value":    "<a b/>",
		"attribute without quotes":   "<a b=1/>",
		"attribute not closed":       `<a b="1/>`,
		"attributes without space":   `<a b="1"c="2"/>`,
		"tag in an attribute":        `<a b="<"/>`,
		"slash without end":          "<a / >",
		"too deep":                   nested(maxXMLDepth + 1),
		"far too deep":               nested(4000),
		"never closed":               strings.Repeat("<a>", 20_000),
		"too many elements":          "<a>" + strings.Repeat("<b/>", maxXMLElements) + "</a>",
		"too many pieces of text":    "<a>" + strings.Repeat("b<!---->", maxXMLElements) + "</a>",
		"too many CDATA sections":    "<a>" + strings.Repeat("<![CDATA[b]]>", maxXMLElements) + "</a>",
		"too large":                  "<a>" + strings.Repeat("x", upstream.MaxAnswerBytes) + "</a>",
		"HTML":                       "<html><body><br></body></html>",
		"JSON":                       `{"a":1}`,
		"ampersands without an end":  "<a>" + strings.Repeat("&", 60_000),
		"comments without an end":    "<a>" + strings.Repeat("<!--", 15_000),
		"attributes without an end":  "<a " + strings.Repeat(`b="" `, 12_000),
		"references without an end":  "<a>" + strings.Repeat("&amp;", 13_000),
		"CDATA sections without end": "<a>" + strings.Repeat("<![CDATA[", 7_000),
	}
	for name, document := range tests {
		t.Run(name, func(t *testing.T) {
			if root, err := parseXML([]byte(document)); !errors.Is(err, ErrMalformed) || root != nil {
				t.Errorf("got %v, %v", root, err)
			}
		})
	}
}

func TestParseXMLRefusesEveryCut(t *testing.T) {
	const document = `<?xml version="1.0"?><a x='1'><b>&lt;x</b><!-- c --><c><![CDATA[d]]></c></a>`
	if _, err := parseXML([]byte(document)); err != nil {
		t.Fatal(err)
	}
	for n := range document {
		if _, err := parseXML([]byte(document[:n])); err == nil {
			t.Errorf("accepted %q", document[:n])
		}
	}
}

// TestFaultsRepeatNothing: what a fault says goes into the log, and a document may hold
// its secrets in whatever place.
func TestFaultsRepeatNothing(t *testing.T) {
	const key = "wJalrXUtnFEMI.K7MDENG"
	for _, document := range []string{
		"<" + key + ">", "<" + key + "></a>", "<" + key + "/>" + key, "<a " + key + "/>", "<a " + key + "='", "<a " + key + "='<'/>", "<a>&" + key + ";</a>",
		"<a></" + key + ">", "<a><![CDATA[" + key, "<!--" + key, "<a>" + key + "]]></a>", "<?" + key, "<?xml " + key + "='1'?>", key, "<a:" + key + ":b/>",
	} {
		if _, err := parseXML([]byte(document)); err == nil || strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", document, err)
		}
	}
}

func TestChildAndValue(t *testing.T) {
	root, err := parseXML([]byte(`<a><one>1</one><two>x</two><two>y</two><deep><one>2</one></deep><ONE>3</ONE></a>`))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		got  *element
		want string
	}{
		"one":            {root.child("one"), "1"},
		"not there":      {root.child("three"), ""},
		"twice":          {root.child("two"), ""},
		"deep":           {root.child("deep").child("one"), "2"},
		"in nothing":     {root.child("three").child("one"), ""},
		"with children":  {root.child("deep"), ""},
		"not the parent": {root.child("a"), ""},
	}
	for name, test := range tests {
		if got := test.got.value(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// referenceTree builds the same tree with encoding/xml.
func referenceTree(t *testing.T, document []byte) *element {
	t.Helper()
	decoder := xml.NewDecoder(bytes.NewReader(document))
	top := &element{}
	open := []*element{top}
	for {
		token, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("accepted what encoding/xml refuses: %v", err)
		}
		e := open[len(open)-1]
		switch token := token.(type) {
		case xml.StartElement:
			child := &element{name: token.Name.Local}
			e.add(child)
			open = append(open, child)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			e.text += string(token)
		case xml.Directive:
			t.Fatal("accepted a directive")
		case xml.ProcInst:
			if token.Target != "xml" {
				t.Fatal("accepted a processing instruction")
			}
		}
	}
	if top.first == nil || top.first != top.last {
		t.Fatal("accepted no root, or several")
	}
	return top.first
}

func FuzzParseXML(f *testing.F) {
	f.Add([]byte(`<?xml version="1.0" encoding="UTF-8"?><a b="1"><c>&lt;&#65;</c><!-- d --><![CDATA[e]]></a>`))
	f.Add([]byte(`<s:a xmlns:s='x'><s:b/>text</s:a >`))
	f.Add([]byte(`<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`))
	f.Fuzz(func(t *testing.T, document []byte) {
		got, err := parseXML(document)
		if err != nil {
			return
		}
		// encoding/xml turns CR and CRLF into LF, as XML 1.0 section 2.11 says. A
		// value with either is no credential, so parseXML leaves them.
		unix := strings.NewReplacer("\r\n", "\n", "\r", "\n")
		if a, b := unix.Replace(render(got)), unix.Replace(render(referenceTree(t, document))); a != b {
			t.Fatalf("got %q\nencoding/xml %q", a, b)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte(`<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>` +
		`<AccessKeyId>ASIAX</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>` +
		`<Expiration>2026-11-22T19:04:05Z</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::1:x</Arn></AssumedRoleUser>` +
		`</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`))
	f.Add([]byte(`<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if code := readErrorCode(body); len(code) > 64 || strings.ContainsAny(code, " \t\r\n<>&\"'") {
			t.Fatalf("code %q", code)
		}
		creds, err := readCredentials(body)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || creds != nil {
				t.Fatalf("got %v, %v", creds, err)
			}
			return
		}
		if creds.AccessKeyID == "" || creds.SecretAccessKey.IsEmpty() || creds.SessionToken.IsEmpty() {
			t.Fatalf("not whole: %+v", creds)
		}
	})
}
