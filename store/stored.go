package store

import (
	"reflect"
	"time"
)

// stored is v as it goes into stored JSON: a copy with every time in it to the millisecond
// and in UTC, as in columns. By reflection, because a time that was forgotten in a list of
// them would come back from the database as another one than went in.
func stored[T any](v T) T {
	asStored(reflect.ValueOf(&v).Elem())
	return v
}

// asStored does that where v is; what v only refers to is copied first.
func asStored(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if at, is := v.Addr().Interface().(*time.Time); is {
			*at = fromMillis(toMillis(*at))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				asStored(v.Field(i))
			}
		}
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		to := reflect.New(v.Type().Elem())
		to.Elem().Set(v.Elem())
		asStored(to.Elem())
		v.Set(to)
	case reflect.Slice:
		if v.IsNil() || v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		items := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(items, v)
		for i := range items.Len() {
			asStored(items.Index(i))
		}
		v.Set(items)
	case reflect.Array:
		for i := range v.Len() {
			asStored(v.Index(i))
		}
	case reflect.Map:
		if v.IsNil() {
			return
		}
		items := reflect.MakeMapWithSize(v.Type(), v.Len())
		for each := v.MapRange(); each.Next(); {
			item := reflect.New(v.Type().Elem()).Elem()
			item.Set(each.Value())
			asStored(item)
			items.SetMapIndex(each.Key(), item)
		}
		v.Set(items)
	}
}
