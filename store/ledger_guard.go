package store

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
)

// ledgerGuard is migration 4: triggers that refuse to change or remove an entry of the
// ledger, and to set its head back. Who owns the database can drop them: they keep
// accidents and careless hands off, the chain detects the rest. The two dialects share
// no way of writing them.
func ledgerGuard(d Dialect) *goose.Migration {
	up := []string{
		`CREATE TRIGGER ledger_no_update BEFORE UPDATE ON ledger
			BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END`,
		`CREATE TRIGGER ledger_no_delete BEFORE DELETE ON ledger
			BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END`,
		// INSERT OR REPLACE removes a row without asking the trigger on DELETE
		// (sqlite.org/lang_conflict.html).
		`CREATE TRIGGER ledger_no_replace BEFORE INSERT ON ledger WHEN EXISTS (SELECT 1 FROM ledger WHERE seq = NEW.seq)
			BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END`,
		`CREATE TRIGGER ledger_head_no_return BEFORE UPDATE ON ledger_head WHEN NEW.seq < OLD.seq
			BEGIN SELECT RAISE(ABORT, 'the head of the ledger never goes back'); END`,
		`CREATE TRIGGER ledger_head_no_delete BEFORE DELETE ON ledger_head
			BEGIN SELECT RAISE(ABORT, 'the head of the ledger never goes back'); END`,
		`CREATE TRIGGER ledger_head_no_replace BEFORE INSERT ON ledger_head WHEN EXISTS (SELECT 1 FROM ledger_head)
			BEGIN SELECT RAISE(ABORT, 'the head of the ledger never goes back'); END`,
	}
	down := []string{
		`DROP TRIGGER ledger_no_update`, `DROP TRIGGER ledger_no_delete`, `DROP TRIGGER ledger_no_replace`,
		`DROP TRIGGER ledger_head_no_return`, `DROP TRIGGER ledger_head_no_delete`, `DROP TRIGGER ledger_head_no_replace`,
	}
	if d == Postgres {
		up = []string{
			`CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS
				'BEGIN RAISE EXCEPTION ''the ledger is append-only, and its head never goes back''; END'`,
			`CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
				FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()`,
			`CREATE TRIGGER ledger_head_no_return BEFORE UPDATE ON ledger_head
				FOR EACH ROW WHEN (NEW.seq < OLD.seq) EXECUTE FUNCTION ledger_refuse()`,
			`CREATE TRIGGER ledger_head_no_delete BEFORE DELETE OR TRUNCATE ON ledger_head
				FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse()`,
		}
		down = []string{
			`DROP TRIGGER ledger_append_only ON ledger`, `DROP TRIGGER ledger_head_no_return ON ledger_head`,
			`DROP TRIGGER ledger_head_no_delete ON ledger_head`, `DROP FUNCTION ledger_refuse()`,
		}
	}
	return goose.NewGoMigration(4, execAll(up), execAll(down))
}

func execAll(statements []string) *goose.GoFunc {
	return &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
		for _, statement := range statements {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
		return nil
	}}
}
