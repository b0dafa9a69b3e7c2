import { DoctorList } from "./components/doctor/doctor-list";

export default function Doctor() {
  return <DoctorList />;
}
