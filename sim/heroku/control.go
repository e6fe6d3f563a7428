package heroku

import (
	"net"
	"net/http"
	"strings"
)

func (s *Server) control(rw http.ResponseWriter, r *http.Request, body string) {
	http.Error(rw, "soon", http.StatusNotImplemented)
}

var _ = net.IPv4len
var _ = strings.Cut
