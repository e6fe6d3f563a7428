package fleet

import (
	"errors"
	"regexp"
	"strings"
	"testing"
)

func TestParseRef(t *testing.T) {
	const id = "01234567-89ab-cdef-0123-456789abcdef"
	tests := map[string]struct {
		in       string
		identity string // what goes into a path; empty: must not be usable
		host     string
	}{
		"name":                    {in: "shop", identity: "shop"},
		"capitals":                {in: "  Shop-EU ", identity: "shop-eu"},
		"straight quotes":         {in: `"shop"`, identity: "shop"},
		"smart quotes":            {in: "“shop”", identity: "shop"},
		"smart single quotes":     {in: "‘shop’", identity: "shop"},
		"guillemets":              {in: "«shop»", identity: "shop"},
		"backticks":               {in: "`shop`", identity: "shop"},
		"comma":                   {in: "shop,", identity: "shop"},
		"question mark":           {in: "shop?", identity: "shop"},
		"end of a sentence":       {in: "Shop.", identity: "shop"},
		"shouted":                 {in: "shop!!", identity: "shop"},
		"colon":                   {in: "shop:", identity: "shop"},
		"trailing off":            {in: "shop…", identity: "shop"},
		"quoted question":         {in: "“shop”?", identity: "shop"},
		"question in quotes":      {in: "“shop?”", identity: "shop"},
		"host and a full stop":    {in: "myapp-0123456789ab.herokuapp.com.", host: "myapp-0123456789ab.herokuapp.com"},
		"address and a question":  {in: "https://myapp-0123456789ab.herokuapp.com/?", host: "myapp-0123456789ab.herokuapp.com"},
		"dashboard, full stop":    {in: "https://dashboard.heroku.com/apps/myapp.", identity: "myapp"},
		"slack link, question":    {in: "<https://dashboard.heroku.com/apps/myapp|myapp>?", identity: "myapp"},
		"slack link to a host, .": {in: "<http://myapp.herokuapp.com|myapp.herokuapp.com>.", host: "myapp.herokuapp.com"},
		"marks before":            {in: "?shop"},
		"marks within":            {in: "shop.eu"},
		"uuid":                    {in: strings.ToUpper(id), identity: id},
		"dashboard":               {in: "https://dashboard.heroku.com/apps/myapp", identity: "myapp"},
		"dashboard page":          {in: "https://dashboard.heroku.com/apps/myapp/resources?x=1#y", identity: "myapp"},
		"dashboard by id":         {in: "https://dashboard.heroku.com/apps/" + id, identity: id},
		"dashboard, no scheme":    {in: "dashboard.heroku.com/apps/myapp/", identity: "myapp"},
		"slack link":              {in: "<https://dashboard.heroku.com/apps/myapp|dashboard.heroku.com/apps/myapp>", identity: "myapp"},
		"host":                    {in: "myapp-0123456789ab.herokuapp.com", host: "myapp-0123456789ab.herokuapp.com"},
		"host in capitals":        {in: "MyApp-0123456789AB.HEROKUAPP.com", host: "myapp-0123456789ab.herokuapp.com"},
		"address":                 {in: "https://myapp-0123456789ab.herokuapp.com/cart?id=1", host: "myapp-0123456789ab.herokuapp.com"},
		"address with port":       {in: "https://myapp.herokuapp.com:443/", host: "myapp.herokuapp.com"},
		"slack link to a host":    {in: "<http://myapp-0123456789ab.herokuapp.com|myapp-0123456789ab.herokuapp.com>", host: "myapp-0123456789ab.herokuapp.com"},
		"another path":            {in: "shop/config-vars#"},
		"climbing":                {in: "x/../../account"},
		"query":                   {in: "x?y=1"},
		"escaped slash":           {in: "shop%2fconfig-vars"},
		"line break":              {in: "shop\nDELETE"},
		"too short":               {in: "ab"},
		"too long":                {in: strings.Repeat("a", 31)},
		"digit first":             {in: "1shop"},
		"dash last":               {in: "shop-"},
		"kelvin sign":             {in: "boo\u212A"}, // strings.ToLower makes it a k
		"dotted capital i":        {in: "sh\u0130p"},
		"cyrillic o":              {in: "sh\u043Ep"},
		"fullwidth":               {in: "ｓｈｏｐ"},
		"zero width":              {in: "sh\u200Bop"},
		"other site":              {in: "https://example.com/apps/shop"},
		"look-alike host":         {in: "https://dashboard.heroku.com.example.com/apps/shop"},
		"credentials in address":  {in: "https://u:p@dashboard.heroku.com/apps/shop"},
		"dashboard of a team":     {in: "https://dashboard.heroku.com/teams/acme"},
		"dashboard climbing":      {in: "https://dashboard.heroku.com/apps/%2e%2e/x"},
		"other scheme":            {in: "ftp://shop.herokuapp.com/"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, err := ParseRef(tt.in)
			if wantErr := tt.identity == "" && tt.host == ""; (err != nil) != wantErr {
				t.Fatalf("ParseRef(%q): got error %v, want error %v", tt.in, err, wantErr)
			}
			if got, ok := r.Identity(); got != tt.identity || ok != (tt.identity != "") {
				t.Errorf("Identity: got %q %v, want %q", got, ok, tt.identity)
			}
			if got := r.Host(); got != tt.host {
				t.Errorf("Host: got %q, want %q", got, tt.host)
			}
		})
	}
}

func TestParseRefEmpty(t *testing.T) {
	for _, in := range []string{"", "  ", `""`, "<>", "``", "?", "...", "“?”"} {
		if _, err := ParseRef(in); !errors.Is(err, ErrNoApp) {
			t.Errorf("ParseRef(%q): got %v, want ErrNoApp", in, err)
		}
	}
}

func TestZeroRefNamesNothing(t *testing.T) {
	if s, ok := (Ref{}).Identity(); ok || s != "" {
		t.Errorf("got %q %v, want nothing", s, ok)
	}
}

// FuzzParseRef holds the one promise that everything else leans on: whatever is
// typed, what goes into a request's path has the shape of a name or a UUID.
func FuzzParseRef(f *testing.F) {
	for _, s := range []string{
		"shop", "Shop", "shop/config-vars#", "x/../../account", "x?y=1", "“shop”", "boo\u212A", "<https://a|b>",
		"https://dashboard.heroku.com/apps/shop/", "a.herokuapp.com", "https://a-b.herokuapp.com/..//", "%2e%2e/account",
		"01234567-89ab-cdef-0123-456789abcdef", "dashboard.heroku.com/apps/..", "https://[::1]/", "<a|b|c>", "shop?", "<https://a.herokuapp.com>.", "a.herokuapp.com.", "\x00", "shop\r\nX: y",
	} {
		f.Add(s)
	}
	strict := regexp.MustCompile(`\A(?:[a-z][a-z0-9-]{1,28}[a-z0-9]|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\z`)
	host := regexp.MustCompile(`\A[a-z0-9-]+\.herokuapp\.com\z`)
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRef(text)
		s, ok := r.Identity()
		switch {
		case err != nil && (ok || r.Host() != ""):
			t.Errorf("ParseRef(%q): got %q %q beside the error %v", text, s, r.Host(), err)
		case err != nil && len(text) > 3 && strings.Contains(err.Error(), text):
			t.Errorf("ParseRef(%q): the error repeats it: %v", text, err)
		case err == nil && ok == (r.Host() != ""):
			t.Errorf("ParseRef(%q): got identity %q and host %q, want exactly one", text, s, r.Host())
		case ok && !strict.MatchString(s):
			t.Errorf("ParseRef(%q): got %q for a path", text, s)
		case r.Host() != "" && !host.MatchString(r.Host()):
			t.Errorf("ParseRef(%q): got host %q", text, r.Host())
		}
	})
}
