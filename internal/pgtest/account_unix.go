//go:build unix

package pgtest

import (
	"os"
	"syscall"
)

// account says as whom to start the server: as ourselves, or as the user postgres
// if we are root, whose ids are then returned. It gets a session of its own, so
// that Ctrl-C at a terminal does not end the guard before its work.
func account() (*syscall.SysProcAttr, *ids, error) {
	attr := &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() != 0 {
		return attr, nil, nil
	}
	owner, err := lookup()
	if err != nil {
		return nil, nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(owner.uid), Gid: uint32(owner.gid)}
	return attr, owner, nil
}
