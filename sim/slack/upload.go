package slack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxAltText is the longest alt_txt of a file (files.getUploadURLExternal).
const maxAltText = 1000

// file is an upload: announced, then sent, then shared.
type file struct {
	id, name, title, alt string
	length               int
	data                 []byte
	sent, completed      bool
}

func (s *Server) uploadURL(q *request) (object, error) {
	length := q.number("length", 0)
	switch {
	case length <= 0:
		return nil, invalid("[ERROR] must be greater than 0 [json-pointer:/length]")
	case length > maxBody:
		return nil, fail("file_upload_size_restricted")
	case utf8.RuneCountInString(q.text("alt_txt")) > maxAltText:
		return nil, fail("alt_txt_too_large")
	}
	f := &file{id: s.nextID("F0"), name: q.text("filename"), length: length, alt: q.text("alt_txt")}
	f.title = f.name
	key := secret()
	s.files[f.id] = f
	s.files[key] = f
	return object{"upload_url": q.host + "/upload/" + key, "file_id": f.id}, nil
}

func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	if !s.hold() {
		http.Error(w, "closed", http.StatusServiceUnavailable)
		return
	}
	defer s.work.Done()
	note := func(status int, code string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.noteCall(Call{Method: "upload", Status: status, Error: code})
	}
	data, err := readUpload(w, r)
	after := s.meetFault(w, r, "upload", note)
	if after == faultDone {
		return
	}
	s.mu.Lock()
	f := s.files[r.PathValue("id")]
	status, text := http.StatusOK, ""
	switch {
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		status, text = http.StatusMethodNotAllowed, "method not allowed"
	case f == nil || f.id == r.PathValue("id") || f.sent:
		status, text = http.StatusNotFound, "no such upload"
	case err != nil:
		status, text = http.StatusBadRequest, err.Error()
	case len(data) != f.length:
		status, text = http.StatusBadRequest, fmt.Sprintf("announced %d bytes, got %d", f.length, len(data))
	default:
		f.data, f.sent = data, true
		text = fmt.Sprintf("OK - %d", len(data))
	}
	s.mu.Unlock()
	if after == faultResetAfter {
		note(0, "connection reset after the effect")
		panic(http.ErrAbortHandler)
	}
	note(status, map[bool]string{true: text}[status != http.StatusOK])
	w.WriteHeader(status)
	io.WriteString(w, text)
}

// readUpload takes the bytes as a raw body or as the first file of a multipart form.
func readUpload(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, err
	}
	kind, params, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		return body, nil
	}
	form, err := multipart.NewReader(bytes.NewReader(body), params["boundary"]).ReadForm(maxBody)
	if err != nil {
		return nil, err
	}
	for _, files := range form.File {
		if len(files) == 0 {
			continue
		}
		part, err := files[0].Open()
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(part)
		return data, errors.Join(err, part.Close())
	}
	return nil, fmt.Errorf("the form holds no file")
}

// completeUpload ends uploads, and shares them where a channel is given. An upload can be
// ended once; nothing is ended where something is wrong.
func (s *Server) completeUpload(q *request) (object, error) {
	v, err := q.value("files")
	list, ok := v.([]any)
	if err != nil || !ok || len(list) == 0 {
		return nil, invalid("[ERROR] must be a list of files [json-pointer:/files]")
	}
	channels := strings.FieldsFunc(q.text("channels"), func(r rune) bool { return r == ',' || r == ' ' })
	if one := q.text("channel_id"); one != "" {
		channels = []string{one}
	}
	thread := q.text("thread_ts")
	switch {
	case len(channels) > 100:
		return nil, fail("channels_limit_exceeded")
	case thread != "" && len(channels) != 1: // "provide only one channel when using thread_ts"; the code is assumed
		return nil, invalid("[ERROR] thread_ts takes exactly one channel [json-pointer:/thread_ts]")
	}
	for i, name := range channels {
		if channels[i], err = s.target(name); err != nil {
			return nil, err
		}
		if c := s.ws.channel(channels[i]); c != nil && !c.has(s.ws.BotUser) {
			return nil, fail("not_in_channel") // chat:write.public does not cover files
		}
		if err := s.mayPost(channels[i]); err != nil {
			return nil, err
		}
	}
	if thread != "" {
		if thread, err = s.threadOf(channels[0], thread); err != nil {
			return nil, err
		}
	}
	var ended []*file
	for _, item := range list {
		entry, _ := item.(object)
		id, _ := entry["id"].(string)
		f := s.files[id]
		if f == nil || f.id != id || !f.sent || f.completed || slices.Contains(ended, f) {
			return nil, fail("file_not_found")
		}
		ended = append(ended, f)
	}
	for _, channel := range channels {
		if wait := s.throttle("post "+channel, s.opts.PostBurst, time.Second*time.Duration(s.opts.PostBurst)); wait > 0 {
			return nil, tooFast(wait) // it shows a message as any other does; assumed
		}
	}
	var files []object
	for i, f := range ended {
		entry := list[i].(object)
		if title, _ := entry["title"].(string); title != "" {
			f.title = title
		}
		f.completed = true
		files = append(files, object{"id": f.id, "name": f.name, "title": f.title, "size": f.length, "alt_txt": f.alt,
			"filetype": strings.TrimPrefix(path.Ext(f.name), "."), "mimetype": mime.TypeByExtension(path.Ext(f.name))})
	}
	for _, channel := range channels {
		m := &message{channel: channel, user: s.ws.BotUser, thread: thread, text: q.text("initial_comment"), files: files}
		m.ts = s.nextTS()
		s.keep(m)
		s.show(m, "file")
	}
	return object{"files": files}, nil
}

// serveFile shows an upload's bytes to tests and to the demo's page.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	f := s.files[r.PathValue("id")]
	s.mu.Unlock()
	if f == nil || !f.sent || f.id != r.PathValue("id") {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(f.name)))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Write(f.data)
}
